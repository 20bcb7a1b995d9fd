import type { GeneratedToken, GenerationEnd, WorkerLanguageModel, WorkerSession } from '@phiblocks/runtime';
import { isPhi3Error } from '@phiblocks/tensor';
import { byId, make } from './dom.ts';
import { showError } from './error-in-words.ts';

interface Message {
  readonly role: 'user' | 'assistant';
  readonly content: string;
}

/** What the rest of the page hears of writing. */
export interface WriteListener {
  started(): void;
  token(token: GeneratedToken): void;
  /** @param ids - the text so far, as far as the model has read it; none where that cannot be told */
  ended(ids: readonly number[]): void;
  /** The graphics device is gone, and the model with it. */
  deviceLost(): void;
}

export interface WritePanel {
  /** @param keepsText - the model is the one before, loaded again: what is written stays, and is gone on with */
  setModel(model: WorkerLanguageModel | undefined, keepsText: boolean): void;
}

/** Chat, or continuing a text, with one session of the model. */
export function setUpWritePanel(listener: WriteListener): WritePanel {
  const log = byId('log', HTMLElement);
  const form = byId('prompt-form', HTMLFormElement);
  const prompt = byId('prompt', HTMLTextAreaElement);
  const send = byId('send', HTMLButtonElement);
  const stop = byId('stop', HTMLButtonElement);
  const clear = byId('clear', HTMLButtonElement);
  const speed = byId('speed', HTMLElement);
  const errorBox = byId('generate-error', HTMLElement);
  const modes = [...byId('modes', HTMLElement).querySelectorAll('input')];

  let model: WorkerLanguageModel | undefined;
  let session: WorkerSession | undefined;
  let controller: AbortController | undefined;
  let messages: Message[] = [];
  let text = '';

  const mode = (): string => modes.find((input) => input.checked)!.value;

  function showState(): void {
    const isChat = mode() === 'chat';
    byId('prompt-label', HTMLLabelElement).textContent = isChat ? 'Your message' : 'Text to continue';
    send.textContent = isChat ? 'Send' : 'Continue';
    prompt.disabled = !model;
    send.disabled = !model || controller !== undefined;
    stop.disabled = controller === undefined;
    clear.disabled = controller !== undefined || log.childElementCount === 0;
    for (const input of modes) {
      input.disabled = controller !== undefined || (input.value === 'chat' && model?.chatTemplate === undefined);
    }
  }

  function forget(): void {
    messages = [];
    text = '';
    log.replaceChildren();
    speed.textContent = '';
    showError(errorBox, undefined);
    showState();
  }

  async function write(): Promise<void> {
    const given = prompt.value;
    const isChat = mode() === 'chat';
    if (!model || controller || (isChat && given.trim() === '')) return;
    const own = new AbortController();
    controller = own;
    prompt.value = '';
    showError(errorBox, undefined);
    showState();
    listener.started();
    const who = (name: string) => log.append(make('span', name, 'who'));
    if (isChat) who('You');
    log.append(make('span', given));
    if (isChat) who('Model');
    const written = make('span', '', 'written');
    log.append(written);
    messages = [...messages, { role: 'user', content: given }];
    text += given;
    speed.textContent = 'Reading the prompt…';
    let answer = '';
    try {
      session ??= await model.createSession();
      const items = session.generate({
        ...(isChat ? { messages } : { prompt: text }),
        maxNewTokens: byId('max-tokens', HTMLInputElement).valueAsNumber,
        temperature: byId('temperature', HTMLInputElement).valueAsNumber,
        logprobs: 10,
        signal: own.signal,
      });
      let count = 0;
      let first = 0;
      for await (const item of items) {
        const piece = item.type === 'token' ? item.text : item.tail;
        answer += piece;
        written.append(piece);
        log.scrollTop = log.scrollHeight;
        if (item.type === 'end') {
          speed.textContent = summary(item);
          continue;
        }
        listener.token(item);
        count++;
        if (count === 1) first = performance.now();
        else {
          const perSecond = (1000 * (count - 1)) / (performance.now() - first);
          speed.textContent = `${count} tokens, ${perSecond.toFixed(1)} per second`;
        }
      }
    } catch (error) {
      speed.textContent = '';
      if (model) showError(errorBox, error);
      if (isPhi3Error(error, 'GPU_DEVICE_LOST')) listener.deviceLost();
    }
    // What stands in the log is what the next turn continues, also after a stop or an error.
    messages = [...messages, { role: 'assistant', content: answer }];
    text += answer;
    controller = undefined;
    showState();
    if (model) prompt.focus();
    const state = await session?.state().catch(() => undefined);
    if (controller === undefined) listener.ended(state?.ids ?? []);
  }

  form.addEventListener('submit', (event) => {
    event.preventDefault();
    void write();
  });
  prompt.addEventListener('keydown', (event) => {
    // As in other chats: Enter sends, with Shift it begins a line. Not while an input method composes.
    if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    form.requestSubmit();
  });
  stop.addEventListener('click', () => controller?.abort());
  clear.addEventListener('click', forget);
  for (const input of modes) input.addEventListener('change', forget);
  showState();

  return {
    setModel(next, keepsText) {
      controller?.abort();
      model = next;
      session = undefined;
      if (keepsText) {
        showState();
        return;
      }
      const [continuing, chatting] = modes as [HTMLInputElement, HTMLInputElement];
      const canChat = next?.chatTemplate !== undefined;
      chatting.checked = canChat;
      continuing.checked = !canChat;
      byId('mode-note', HTMLElement).textContent =
        next && !canChat ? 'This model brings no chat format that is known here.' : '';
      if (next) forget();
      showState();
    },
  };
}

const reasons: Readonly<Record<GenerationEnd['finishReason'], string>> = {
  stop: 'the model ended the text',
  length: 'as many tokens as asked for',
  context: 'the context is full',
  aborted: 'stopped',
};

function summary({ usage, timings, finishReason }: GenerationEnd): string {
  const { promptTokens, cachedPromptTokens, completionTokens } = usage;
  const cached = cachedPromptTokens > 0 ? ` (${cachedPromptTokens} of them known already)` : '';
  const rate = timings.decodeTokensPerSecond;
  const perSecond = Number.isFinite(rate) && rate > 0 ? `, ${rate.toFixed(1)} per second` : '';
  return `${completionTokens} tokens${perSecond}, behind ${promptTokens} of the prompt${cached}: ${reasons[finishReason]}.`;
}
