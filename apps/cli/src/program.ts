import { Command } from 'commander';
import packageJson from '../package.json' with { type: 'json' };
import { benchCommand } from './commands/bench.ts';
import { chatCommand } from './commands/chat.ts';
import { detokenizeCommand } from './commands/detokenize.ts';
import { evalCommand } from './commands/eval.ts';
import { generateCommand } from './commands/generate.ts';
import { inspectCommand } from './commands/inspect.ts';
import { logitsCommand } from './commands/logits.ts';
import { quantizeCommand } from './commands/quantize.ts';
import { tokenizeCommand } from './commands/tokenize.ts';
import { acceptHubModels } from './hub-model.ts';

/** The command line as a value; nothing runs until it is parsed. */
export function createProgram(): Command {
  const program = new Command('phiblocks')
    .description('Run and look into models of the Phi-3 family.')
    .version(packageJson.version)
    .showHelpAfterError(false)
    .helpCommand('help [command]', 'explain a command');
  for (const command of [
    generateCommand(),
    chatCommand(),
    logitsCommand(),
    tokenizeCommand(),
    detokenizeCommand(),
    inspectCommand(),
    benchCommand(),
    quantizeCommand(),
    evalCommand(),
  ]) {
    program.addCommand(acceptHubModels(command));
  }
  for (const command of [program, ...program.commands]) {
    command.exitOverride().configureOutput({
      // One line, with the code that scripts look for.
      outputError: (text, write) => {
        const line = text
          .trim()
          .replace(/^error: /, '')
          .replace(/\s*\n\s*/g, ' ');
        write(`phiblocks: USAGE ${line}\n`);
      },
    });
  }
  return program;
}
