import { attentionFactor, rotaryDim } from '@phiblocks/longrope';
import { cacheBytesPerToken, familyMember, rotaryConfigOf } from '@phiblocks/runtime';
import { isPhi3Error } from '@phiblocks/tensor';
import { renderChat, stopTokenIds } from '@phiblocks/tokenizer';
import { type ModelConfig, parsePhi3Config } from '@phiblocks/weights';
import { type Member, members } from './published-configs.ts';

/** One line of the table: a property, and what it is for every member. */
export interface PropertyRow {
  readonly label: string;
  /** One per member, in the order of `members`. */
  readonly values: readonly string[];
  /** Whether the members differ in it. */
  readonly differs: boolean;
}

const number = (value: number): string => value.toLocaleString('en-US');

const properties: readonly [label: string, (member: Member) => string][] = [
  ['Parameters', ({ parameters }) => parameters],
  ['model_type', ({ config }) => config.modelType],
  ['Layers', ({ config }) => number(config.numHiddenLayers)],
  ['Hidden size', ({ config }) => number(config.hiddenSize)],
  ['Feed-forward size', ({ config }) => feedForward(config)],
  ['Activation', ({ config }) => (config.hiddenAct === 'silu' ? 'SwiGLU' : config.hiddenAct)],
  ['Norm', ({ config }) => (config.modelType === 'phi3' || config.modelType === 'phi3_v' ? 'RMSNorm' : 'LayerNorm')],
  ['Query heads', ({ config }) => number(config.numAttentionHeads)],
  ['Key/value heads', ({ config }) => number(config.numKeyValueHeads)],
  ['Components of a head', ({ config }) => number(config.headDim)],
  ['of which rotate', ({ config }) => number(rotaryDim(rotaryConfigOf(config)))],
  ['Attention', ({ config }) => attention(config)],
  ['Window', ({ config }) => (config.slidingWindow === undefined ? 'none' : number(config.slidingWindow))],
  ['Context', ({ config }) => number(config.maxPositionEmbeddings)],
  ['Lists change above', ({ config, hasFactorLists }) => boundary(config, hasFactorLists)],
  ['RoPE', ({ config, hasFactorLists }) => config.ropeScaling?.type ?? (hasFactorLists ? 'plain' : 'longrope')],
  ['RoPE base', ({ config }) => number(config.ropeTheta)],
  ['Attention factor', ({ config, hasFactorLists }) => factor(config, hasFactorLists)],
  ['Vocabulary', ({ config }) => number(config.vocabSize)],
  ['Output matrix', ({ config }) => (config.tieWordEmbeddings ? 'the embedding' : 'its own')],
  ['Chat template', ({ template }) => template],
  ['“Hi” as a chat', ({ template }) => chat(template)],
  ['Stop ids', ({ template }) => stopTokenIds(template).join(', ')],
  ['Cache per token, 16 bit', ({ config }) => `${number(cacheBytesPerToken(config, 2) / 1024)} KiB`],
];

/** The members side by side: one row per property, as the packages read it from the published configurations. */
export function memberTable(): PropertyRow[] {
  return properties.map(([label, describe]) => {
    const values = members.map(describe);
    return { label, values, differs: new Set(values).size > 1 };
  });
}

/** What a `config.json` turned out to be. */
export type Identification =
  | { readonly kind: 'member'; readonly name: string; readonly config: ModelConfig }
  | { readonly kind: 'relative'; readonly config: ModelConfig }
  | { readonly kind: 'error'; readonly code: string; readonly message: string };

/** Reads the text of a `config.json` and says which member it describes, if any. */
export function identifyConfig(text: string): Identification {
  try {
    const config = parsePhi3Config(new TextEncoder().encode(text));
    const name = familyMember(config);
    return name === undefined ? { kind: 'relative', config } : { kind: 'member', name, config };
  } catch (error) {
    if (!isPhi3Error(error)) throw error;
    return { kind: 'error', code: error.code, message: error.message };
  }
}

function feedForward(config: ModelConfig): string {
  const size = number(config.intermediateSize);
  return config.modelType === 'phimoe'
    ? `${size} × ${config.numLocalExperts} experts, ${config.numExpertsPerTok} used`
    : size;
}

function attention(config: ModelConfig): string {
  if (config.modelType === 'phi3small') return 'grouped, block-sparse in every second layer';
  return config.numKeyValueHeads === config.numAttentionHeads ? 'multi-head' : 'grouped';
}

function boundary(config: ModelConfig, hasFactorLists: boolean): string {
  return config.ropeScaling === undefined && hasFactorLists
    ? 'one list only'
    : number(config.originalMaxPositionEmbeddings);
}

function factor(config: ModelConfig, hasFactorLists: boolean): string {
  if (!hasFactorLists) return 'lists not available';
  return attentionFactor(rotaryConfigOf(config), config.ropeScaling === undefined ? 'none' : 'long').toFixed(4);
}

function chat(template: Member['template']): string {
  const text = renderChat(template, [{ role: 'user', content: 'Hi' }], { addGenerationPrompt: true });
  // A line of the text is a line of the cell.
  return text.replaceAll('\n', '⏎\n').trimEnd();
}
