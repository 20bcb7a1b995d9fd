import { openTokenizer } from '@phiblocks/runtime/node';
import { Command, Option } from 'commander';
import { modelOption } from '../load-model.ts';
import { print } from '../terminal.ts';
import { tokenIds } from '../usage-error.ts';

interface DetokenizeFlags {
  readonly model: string;
  readonly ids: number[];
  readonly skipSpecial?: boolean;
  readonly json?: boolean;
}

export function detokenizeCommand(): Command {
  return new Command('detokenize')
    .description('turn token ids into text')
    .addOption(modelOption('a checkpoint directory, a tokenizer.json, a .gguf file, or owner/name[:file] on the hub'))
    .addOption(new Option('--ids <ids>', 'token ids: 1,2,3').argParser(tokenIds).makeOptionMandatory())
    .option('--skip-special', 'leave special tokens out of the text')
    .option('--json', 'print one JSON object { text }')
    .action(detokenize);
}

async function detokenize({ model, ids, skipSpecial = false, json }: DetokenizeFlags): Promise<void> {
  const tokenizer = await openTokenizer(model);
  const text = tokenizer.decode(ids, { skipSpecialTokens: skipSpecial });
  await print(json ? `${JSON.stringify({ text })}\n` : `${text}\n`);
}
