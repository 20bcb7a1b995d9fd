import type { Server } from 'node:http';

export function createSiteServer(options?: { isolation?: boolean }): Server;
