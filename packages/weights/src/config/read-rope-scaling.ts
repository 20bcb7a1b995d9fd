import type { ConfigFields } from './config-fields.ts';
import type { RopeScalingConfig } from './model-config.ts';

/** What the position embedding of a checkpoint is. @internal */
export interface RopeFields {
  readonly ropeTheta: number;
  readonly partialRotaryFactor: number;
  readonly originalMaxPositionEmbeddings: number;
  readonly ropeScaling: RopeScalingConfig | undefined;
}

/**
 * Reads what `config.json` says of the rotary position embedding: `rope_theta`, `partial_rotary_factor` and `rope_scaling`
 * as published, or all of them under `rope_parameters`, as transformers 5 writes them.
 *
 * @param thetaName - `rope_theta`, or `rope_embedding_base` for Phi-3-small
 * @internal
 */
export function readRopeFields(
  fields: ConfigFields,
  headDim: number,
  maxPositionEmbeddings: number,
  thetaName: string,
  defaultTheta: number,
): RopeFields {
  const parameters = fields.object('rope_parameters', 'CF_ROPE_SCALING');
  const scaling = fields.object('rope_scaling', 'CF_ROPE_SCALING') ?? parameters;
  const holderOf = (name: string): ConfigFields => (parameters?.has(name) ? parameters : fields);
  const ropeTheta = holderOf(thetaName).positive(thetaName, defaultTheta);

  const partial = holderOf('partial_rotary_factor').positive('partial_rotary_factor', 1);
  // As the published code: Python's `int` truncates.
  const rotaryDim = Math.trunc(headDim * partial);
  if (partial > 1 || rotaryDim < 2 || rotaryDim % 2 !== 0) {
    throw fields.error(
      'CF_HEADS',
      partial === 1 ? 'hidden_size' : 'partial_rotary_factor',
      'an even number of components of a head that rotate, since they rotate in pairs',
      partial > 1 ? partial : `${rotaryDim} of ${headDim}`,
    );
  }

  const outer = fields.optionalSize('original_max_position_embeddings');
  const inner = scaling?.optionalSize('original_max_position_embeddings');
  if (outer !== undefined && inner !== undefined && outer !== inner) {
    throw fields.error('CF_ROPE_SCALING', 'original_max_position_embeddings', `${inner}, as in rope_scaling`, outer);
  }
  const original = inner ?? outer;
  const ropeScaling = scaling && readScaling(fields, scaling, rotaryDim / 2, original, maxPositionEmbeddings);
  return {
    ropeTheta,
    partialRotaryFactor: partial,
    originalMaxPositionEmbeddings: original ?? maxPositionEmbeddings,
    ropeScaling,
  };
}

function readScaling(
  fields: ConfigFields,
  scaling: ConfigFields,
  numFactors: number,
  original: number | undefined,
  maxPositionEmbeddings: number,
): RopeScalingConfig | undefined {
  const type = readType(scaling);
  if (type === undefined) return undefined;
  if (original === undefined || original < 2 || original >= maxPositionEmbeddings) {
    throw fields.error(
      'CF_ROPE_SCALING',
      'original_max_position_embeddings',
      `a whole number from 2 to below max_position_embeddings, ${maxPositionEmbeddings}`,
      original,
      'Without it neither the length at which the factor lists change nor the attention factor is known',
    );
  }
  return Object.freeze({
    type,
    shortFactor: scaling.factors('short_factor', numFactors, 'CF_ROPE_SCALING'),
    longFactor: scaling.factors('long_factor', numFactors, 'CF_ROPE_SCALING'),
    shortMscale: readMscale(scaling, 'short_mscale'),
    longMscale: readMscale(scaling, 'long_mscale'),
    originalMaxPositionEmbeddings: original,
  });
}

/** `type` in published files, `rope_type` in later ones; `default` means no scaling. */
function readType(scaling: ConfigFields): RopeScalingConfig['type'] | undefined {
  const expected = 'longrope, su or yarn';
  const types = ['type', 'rope_type'].filter((name) => scaling.has(name)).map((name) => scaling.value(name));
  const resolved = new Set(types.map((type) => (type === 'su' ? 'longrope' : type)));
  const [type] = resolved;
  if (resolved.size > 1) throw scaling.error('CF_ROPE_SCALING', 'rope_type', 'the same as type', types);
  if (type === 'longrope' || type === 'yarn') return type;
  if (type === 'default') return undefined;
  throw scaling.error('CF_ROPE_SCALING', 'type', expected, type);
}

function readMscale(scaling: ConfigFields, name: string): number | undefined {
  const value = scaling.value(name);
  if (value === undefined) return undefined;
  if (typeof value === 'number' && Number.isFinite(value) && value > 0) return value;
  throw scaling.error('CF_ROPE_SCALING', name, 'a finite number above 0', value);
}
