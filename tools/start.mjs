// `npm start`: installs and builds what is missing, then talks with nano-mini, a model of this repository.
// `npm start -- [--model DIR] [options of "phiblocks generate"]`: generates text instead.
import { join } from 'node:path';
import { repositoryRoot, requireSupportedNode, run, turboCommand } from './processes.mjs';

requireSupportedNode();

const verbose = process.argv.includes('--verbose');
const args = process.argv.slice(2).filter((argument) => argument !== '--verbose');
const has = (...names) =>
  args.some((argument) => names.some((name) => argument === name || argument.startsWith(`${name}=`)));

/** The model that comes with the repository. */
const ownModel = 'nano-mini';
/** What the conversation begins with: nano-mini works it out line by line, and never saw it in its training. */
const openingQuestion = 'What is 48 + 39?';
/** What another model writes on from when nothing is asked for. */
const openingWords = 'Once upon a time';

console.error('Preparing: installing and building what is missing …');
const build = await run(turboCommand(['build', '--filter=@phiblocks/cli']), { quiet: !verbose });
if (build.exitCode !== 0) {
  if (!build.interrupted) {
    process.stderr.write(build.output);
    console.error(`The build failed with exit status ${build.exitCode}`);
  }
  process.exit(build.exitCode);
}

// npm starts scripts in the repository; relative paths are meant from where the command was given.
const { exitCode } = await run([process.execPath, [join(repositoryRoot, 'apps/cli/dist/cli.js'), ...commandLine()]], {
  cwd: process.env.INIT_CWD ?? process.cwd(),
});
process.exit(exitCode);

/** What the command line of phiblocks is given. */
function commandLine() {
  const asksForHelp = has('--help', '-h');
  const saysWhatToWrite = has('--prompt', '--ids', '--chat');
  if (has('--model') || asksForHelp || saysWhatToWrite) {
    const model = has('--model') || asksForHelp ? [] : ['--model', ownModel];
    const words = saysWhatToWrite || asksForHelp ? [] : ['--prompt', openingWords];
    return ['generate', ...model, ...args, ...words];
  }
  const started = Math.round(performance.timeOrigin);
  const times = ['--started-at', `${started}`, '--prepared-in', `${Math.round(Date.now() - started)}`];
  // Without a terminal nobody is there to ask: the one answer is all.
  const once = process.stdin.isTTY ? [] : ['--once'];
  return ['chat', '--model', ownModel, '--ask', openingQuestion, ...times, ...once, ...args];
}
