import { familyMember } from '@phiblocks/runtime';
import type { ChatTemplateName } from '@phiblocks/tokenizer';
import { type ModelConfig, parsePhi3Config } from '@phiblocks/weights';
import published from './published-configs.json';

/** A published member of the family. */
export interface Member {
  /** Its repository's name in lower case: `phi-3-mini-4k-instruct`. */
  readonly id: string;
  /** As `familyMember` of @phiblocks/runtime names it. */
  readonly name: string;
  /** Where it is published. */
  readonly repository: string;
  /** As its authors state them: `3.8B`. */
  readonly parameters: string;
  readonly template: ChatTemplateName;
  /** `config.json` as @phiblocks/weights reads it. */
  readonly config: ModelConfig;
  /** False for the one member whose factor lists could not be had: its `config` has no `ropeScaling`, though the model has. */
  readonly hasFactorLists: boolean;
  /** Fields that were seen in no stored copy of the published file. */
  readonly unverified: readonly string[];
}

/**
 * The published members. Source: `config.json` of each checkpoint, without the fields that only training reads; where it
 * was seen is in the shared reference data.
 */
export const members: readonly Member[] = published.members.map(readMember);

/** The member with an id. */
export function memberOf(id: string): Member {
  const found = members.find((member) => member.id === id);
  if (found === undefined)
    throw new RangeError(`memberOf(id): expected one of ${members.map((one) => one.id)}, got ${id}`);
  return found;
}

function readMember({
  id,
  repository,
  parameters,
  template,
  unverified,
  config,
}: (typeof published.members)[number]): Member {
  const scaling: { long_factor?: number[] | null } | null | undefined = config.rope_scaling;
  const hasFactorLists = scaling === null || scaling === undefined || Array.isArray(scaling.long_factor);
  const readable = hasFactorLists ? config : { ...config, rope_scaling: null };
  const parsed = parsePhi3Config(new TextEncoder().encode(JSON.stringify(readable)), { file: `config.json of ${id}` });
  const name = hasFactorLists ? familyMember(parsed) : repository.split('/').at(-1);
  if (name === undefined) throw new RangeError(`${id} is not recognised as a member`);
  return {
    id,
    name,
    repository,
    parameters,
    template: template as ChatTemplateName,
    config: parsed,
    hasFactorLists,
    unverified,
  };
}
