import type { Server } from 'node:http';

export type PolicyName = 'strict' | 'no-wasm' | 'none';
export const policies: Readonly<Record<PolicyName, string | undefined>>;
export const isolationHeaders: Readonly<Record<string, string>>;
export function createStaticServer(
  folder: string,
  options?: { isolation?: boolean | undefined; policy?: PolicyName | undefined },
): Server;
