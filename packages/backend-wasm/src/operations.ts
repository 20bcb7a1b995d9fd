/** The numbers of the jobs in `assembly/index.ts`. */
export const operations = {
  pack: 0,
  quantizeActivations: 1,
  interleaveActivations: 2,
  linear: 3,
  embed: 4,
  rmsNorm: 5,
  layerNorm: 6,
  add: 7,
  multiply: 8,
  copyColumns: 9,
  rotate: 10,
  appendToCache: 11,
  attention: 12,
  gatedActivation: 13,
  activation: 14,
  addWeightedRows: 15,
  stream: 16,
  elsewhere: 17,
  readCache: 18,
  stop: -1,
} as const;

export type Operation = keyof typeof operations;
