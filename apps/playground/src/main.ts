import { setUpBlockPanel } from './blocks/block-panel.ts';
import { setUpDistributionPanel } from './distribution-panel.ts';
import { byId } from './dom.ts';
import { setUpModelPanel } from './model-panel.ts';
import { setUpWritePanel } from './write-panel.ts';

const distribution = setUpDistributionPanel();
const writing = setUpWritePanel({
  started: () => distribution.clear(),
  token: (token) => distribution.push(token),
  ended: () => void models.showMemory(),
});
const models = setUpModelPanel((model) => {
  writing.setModel(model);
  distribution.setModel(model);
});
setUpBlockPanel();

byId('environment', HTMLElement).textContent = crossOriginIsolated
  ? `This page is isolated from others: WebAssembly may use threads (${navigator.hardwareConcurrency} here).`
  : 'This page is not isolated from others (it lacks the headers COOP and COEP): WebAssembly runs on one thread.';
