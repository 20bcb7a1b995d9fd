import { keyValueCacheBytes } from '@phiblocks/gqa';
import { type Member, members } from './published-configs.ts';

/** The cache of one member at a length. */
export interface MemberCache {
  readonly member: Member;
  /** Undefined where the length is above the member's context. */
  readonly sizeInBytes: number | undefined;
  /** What it would be with as many key/value heads as query heads. */
  readonly ungroupedInBytes: number | undefined;
}

/** Keys and values of one sequence for every member. */
export function cacheOfMembers(length: number, bytesPerElement: number): MemberCache[] {
  return members.map((member) => {
    const { numHiddenLayers, numAttentionHeads, numKeyValueHeads, headDim, maxPositionEmbeddings } = member.config;
    const fits = length <= maxPositionEmbeddings;
    const bytesWith = (heads: number): number =>
      keyValueCacheBytes({ numLayers: numHiddenLayers, numKeyValueHeads: heads, headDim, bytesPerElement, length });
    return {
      member,
      sizeInBytes: fits ? bytesWith(numKeyValueHeads) : undefined,
      ungroupedInBytes: fits ? bytesWith(numAttentionHeads) : undefined,
    };
  });
}

/** The numbers of key/value heads that a member could have: the divisors of its query heads. */
export function possibleGroups(member: Member): number[] {
  const { numAttentionHeads } = member.config;
  return Array.from({ length: numAttentionHeads }, (_, i) => i + 1).filter((heads) => numAttentionHeads % heads === 0);
}

/** The cache of a member, were it trained with another number of key/value heads. */
export function cacheWithGroups(
  member: Member,
  numKeyValueHeads: number,
  length: number,
  bytesPerElement: number,
): number {
  const { numHiddenLayers: numLayers, headDim } = member.config;
  return keyValueCacheBytes({ numLayers, numKeyValueHeads, headDim, bytesPerElement, length });
}
