// `npm start -- [--model DIR] [options of "phiblocks generate"]`: installs and builds what is missing, then generates text.
import { existsSync } from 'node:fs';
import { join, relative, resolve } from 'node:path';
import { repositoryRoot, requireSupportedNode, run, turboCommand } from './processes.mjs';

requireSupportedNode();

const verbose = process.argv.includes('--verbose');
const args = process.argv.slice(2).filter((argument) => argument !== '--verbose');
const has = (...names) =>
  args.some((argument) => names.some((name) => argument === name || argument.startsWith(`${name}=`)));

/** What `npm start` writes on from when nothing else is asked for. */
const openingWords = 'Once upon a time';

// Before anything is built: a missing checkpoint should not cost a build first.
if (!has('--model', '--help', '-h')) {
  const shared = process.env.PHIBLOCKS_SHARED ?? resolve(repositoryRoot, '../shared');
  const model = join(shared, 'models/stories260k-phi3');
  if (!existsSync(join(model, 'config.json'))) {
    console.error('No checkpoint was found: pass the folder of one with `npm start -- --model DIR`');
    process.exit(1);
  }
  console.error(`Running ${relative(process.cwd(), model)} (pass another one with --model DIR)`);
  args.unshift('--model', model);
  // This model is a small story teller: token 1 begins a text.
  if (!has('--prompt', '--ids')) args.push('--ids', '1');
  if (!has('--max-new-tokens')) args.push('--max-new-tokens', '200');
}

if (!has('--prompt', '--ids', '--chat', '--help', '-h')) args.push('--prompt', openingWords);

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
const { exitCode } = await run(
  [process.execPath, [join(repositoryRoot, 'apps/cli/dist/cli.js'), 'generate', ...args]],
  { cwd: process.env.INIT_CWD ?? process.cwd() },
);
process.exit(exitCode);
