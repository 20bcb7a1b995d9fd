import { createInterface, type Interface } from 'node:readline';
import type { GenerateOptions, Session } from '@phiblocks/runtime';
import { isPhi3Error } from '@phiblocks/tensor';
import { Command, Option } from 'commander';
import { type BackendOptions, backendOptions, loadForCommand, modelOption } from '../load-model.ts';
import { createInterrupt, note, print } from '../terminal.ts';
import { wholeNumber } from '../usage-error.ts';

interface ChatFlags extends BackendOptions {
  readonly model: string;
  readonly ask?: string[];
  readonly system?: string;
  readonly maxNewTokens?: number;
  readonly once?: boolean;
  readonly startedAt?: number;
  readonly preparedIn?: number;
}

type Messages = NonNullable<GenerateOptions['messages']>;

export function chatCommand(): Command {
  const command = new Command('chat')
    .description('talk with a model: one question per line of standard input, answers on standard output')
    .addOption(modelOption())
    .option('--ask <text>', 'a question to begin with; may be given again', (text: string, before: string[] = []) => [
      ...before,
      text,
    ])
    .option('--system <text>', 'the system message')
    .option('--max-new-tokens <n>', 'end an answer after so many tokens', wholeNumber(1))
    .option('--once', 'answer what --ask gives and read nothing')
    // For `npm start`, which says how long it took to the first character and what of it was preparation.
    .addOption(new Option('--started-at <ms>').argParser(wholeNumber(0)).hideHelp())
    .addOption(new Option('--prepared-in <ms>').argParser(wholeNumber(0)).hideHelp());
  for (const option of backendOptions()) command.addOption(option);
  return command.action(async (flags: ChatFlags) => chat(flags));
}

async function chat(flags: ChatFlags): Promise<void> {
  const interrupt = createInterrupt();
  const model = await loadForCommand(flags.model, flags, interrupt.signal);
  interrupt.release();
  const session = model.createSession();
  const isTerminal = process.stdin.isTTY === true && process.stdout.isTTY === true;
  const conversation: Messages[number][] =
    flags.system === undefined ? [] : [{ role: 'system', content: flags.system }];
  const numSystem = conversation.length;
  let firstCharacter = flags.startedAt !== undefined;

  async function ask(question: string): Promise<void> {
    conversation.push({ role: 'user', content: question });
    const answering = createInterrupt();
    try {
      const text = await answer(
        session,
        conversation,
        numSystem,
        flags.maxNewTokens,
        answering.signal,
        async (piece) => {
          if (piece !== '' && firstCharacter) {
            firstCharacter = false;
            note(timing(flags));
          }
          await print(piece);
        },
      );
      conversation.push({ role: 'assistant', content: text });
      await print('\n');
    } finally {
      answering.release();
    }
  }

  try {
    for (const question of flags.ask ?? []) {
      await print(`> ${question}\n`);
      await ask(question);
    }
    if (flags.once) return;
    if (isTerminal) note('Ask something, or press Ctrl-D to leave.');
    const lines = createInterface({
      input: process.stdin,
      output: isTerminal ? process.stdout : undefined,
      prompt: '> ',
    });
    try {
      for await (const question of questionsOf(lines, isTerminal)) await ask(question);
    } finally {
      lines.close();
    }
    if (isTerminal) await print('\n');
  } finally {
    session.dispose();
    await model.dispose();
  }
}

/** The lines of standard input that are not empty, until its end; Ctrl-C at the prompt ends them too. */
async function* questionsOf(lines: Interface, isTerminal: boolean): AsyncGenerator<string> {
  lines.on('SIGINT', () => lines.close());
  if (isTerminal) lines.prompt();
  for await (const line of lines) {
    // Without the listener of readline, Ctrl-C reaches the process and stops the answer.
    if (line.trim() !== '') yield line.trim();
    if (isTerminal) lines.prompt();
  }
}

/**
 * Streams one answer and gives its text. Where the conversation no longer fits into the context, its oldest questions are
 * forgotten, and that is said.
 */
async function answer(
  session: Session,
  conversation: Messages[number][],
  numSystem: number,
  maxNewTokens: number | undefined,
  signal: AbortSignal,
  write: (piece: string) => Promise<void>,
): Promise<string> {
  for (;;) {
    try {
      let text = '';
      for await (const item of session.generate({ messages: conversation, maxNewTokens, signal })) {
        await write(item.type === 'end' ? item.tail : item.text);
        if (item.type !== 'end') continue;
        text = item.text;
        for (const warning of item.warnings) note(`phiblocks: ${warning}`);
      }
      return text;
    } catch (error) {
      const canForget = conversation.length > numSystem + 1;
      if (!isPhi3Error(error, 'CTX_OVERFLOW') || !canForget) throw error;
      conversation.splice(numSystem, 2);
      note('phiblocks: the context is full; the oldest question is forgotten');
    }
  }
}

function timing({ startedAt, preparedIn = 0 }: ChatFlags): string {
  const seconds = (ms: number): string => (ms / 1000).toFixed(1);
  return `First character after ${seconds(Date.now() - startedAt!)} s, of which ${seconds(preparedIn)} s were install and build.`;
}
