import { readFile } from 'node:fs/promises';
import { openTokenizer } from '@phiblocks/runtime/node';
import { Command } from 'commander';
import { modelOption } from '../load-model.ts';
import { print } from '../terminal.ts';
import { UsageError } from '../usage-error.ts';

interface TokenizeFlags {
  readonly model: string;
  readonly text?: string;
  readonly file?: string;
  /** Commander turns `--no-special` into `special: false`. */
  readonly special: boolean;
  readonly json?: boolean;
}

export function tokenizeCommand(): Command {
  return new Command('tokenize')
    .description('turn text into token ids')
    .addOption(modelOption('a checkpoint directory, a tokenizer.json, a .gguf file, or owner/name[:file] on the hub'))
    .option('--text <text>', 'the text')
    .option('--file <path>', 'a UTF-8 file with the text')
    .option('--no-special', 'neither add nor recognise special tokens: everything is plain text')
    .option('--json', 'print one JSON object { ids, tokens }')
    .action(tokenize);
}

async function tokenize({ model, text, file, special, json }: TokenizeFlags): Promise<void> {
  if ((text === undefined) === (file === undefined)) throw new UsageError('give exactly one of --text and --file');
  const tokenizer = await openTokenizer(model);
  const source = text ?? new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(await readFile(file!));
  const encoded = tokenizer.encode(source, { addSpecialTokens: special, parseSpecialTokens: special });
  const ids = Array.from(encoded);
  const tokens = ids.map((id) => tokenizer.idToToken(id));
  if (json) await print(`${JSON.stringify({ ids, tokens })}\n`);
  else await print(ids.map((id, index) => `${id}\t${JSON.stringify(tokens[index])}\n`).join(''));
}
