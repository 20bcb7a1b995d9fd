import { quantizeRow } from '@phiblocks/quantization';
import {
  createSequence,
  encodeImage,
  forwardPhi3,
  forwardPhi3Small,
  forwardPhi3Vision,
  forwardPhiMoe,
  loadImageWeights,
  loadPhi3SmallWeights,
  loadPhi3Weights,
  loadPhiMoeWeights,
  phi3SelfAttention,
  phi3SmallSelfAttention,
  phiMoeSelfAttention,
  rotaryConfigOf,
} from '@phiblocks/runtime';
import type { Backend, WeightMatrix } from '@phiblocks/tensor';

/**
 * What is checked: the functions of the packages by which a model runs. A value that is passed in, so that a person can
 * check a change of one of them, and tests can plant faults.
 */
export interface Implementation {
  readonly forwardPhi3: typeof forwardPhi3;
  readonly forwardPhi3Small: typeof forwardPhi3Small;
  readonly forwardPhiMoe: typeof forwardPhiMoe;
  readonly forwardPhi3Vision: typeof forwardPhi3Vision;
  readonly encodeImage: typeof encodeImage;
  readonly loadPhi3Weights: typeof loadPhi3Weights;
  readonly loadPhi3SmallWeights: typeof loadPhi3SmallWeights;
  readonly loadPhiMoeWeights: typeof loadPhiMoeWeights;
  readonly loadImageWeights: typeof loadImageWeights;
  readonly phi3SelfAttention: typeof phi3SelfAttention;
  readonly phi3SmallSelfAttention: typeof phi3SmallSelfAttention;
  readonly phiMoeSelfAttention: typeof phiMoeSelfAttention;
  readonly rotaryConfigOf: typeof rotaryConfigOf;
  readonly createSequence: typeof createSequence;
  readonly quantizeRow: typeof quantizeRow;
  /** Every backend goes through this. */
  readonly wrapBackend: (backend: Backend) => Backend;
  /** Every matrix goes through this before it is uploaded. */
  readonly wrapMatrix: (key: string, matrix: WeightMatrix) => WeightMatrix;
}

/** The packages as they are. */
export const packages: Implementation = {
  forwardPhi3,
  forwardPhi3Small,
  forwardPhiMoe,
  forwardPhi3Vision,
  encodeImage,
  loadPhi3Weights,
  loadPhi3SmallWeights,
  loadPhiMoeWeights,
  loadImageWeights,
  phi3SelfAttention,
  phi3SmallSelfAttention,
  phiMoeSelfAttention,
  rotaryConfigOf,
  createSequence,
  quantizeRow,
  wrapBackend: (backend) => backend,
  wrapMatrix: (_key, matrix) => matrix,
};
