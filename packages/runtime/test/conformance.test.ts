import { testBackend } from '@phiblocks/backend-conformance';
import { createReferenceBackend, type ReferenceBackend } from '../src/index.ts';

testBackend('reference', async () => createReferenceBackend(), {
  liveHandles: (backend: ReferenceBackend) => backend.liveHandles(),
});
