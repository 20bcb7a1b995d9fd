import { setUpAttentionPanel } from './attention-panel.ts';
import { setUpBlockPanel } from './blocks/block-panel.ts';
import { setUpDistributionPanel } from './distribution-panel.ts';
import { byId } from './dom.ts';
import { setUpModelPanel } from './model-panel.ts';
import { setUpWritePanel } from './write-panel.ts';

const distribution = setUpDistributionPanel();
const attention = setUpAttentionPanel();
const writing = setUpWritePanel({
  started() {
    distribution.clear();
    attention.setText([]);
  },
  token: (token) => distribution.push(token),
  ended(ids) {
    void models.showMemory();
    attention.setText(ids);
  },
  deviceLost: () => models.reload(),
});
const models = setUpModelPanel((model, isSame) => {
  writing.setModel(model, isSame);
  distribution.setModel(model);
  attention.setModel(model);
});
setUpBlockPanel();

byId('environment', HTMLElement).textContent = crossOriginIsolated
  ? `This page is isolated from others: WebAssembly may use threads (${navigator.hardwareConcurrency} here).`
  : 'This page is not isolated from others (it lacks the headers COOP and COEP): WebAssembly runs on one thread.';
