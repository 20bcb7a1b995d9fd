import { ConfigFields } from './config-fields.ts';
import type { ClipVisionConfig, Phi3VisionConfig } from './model-config.ts';

/** Reads `img_processor`. @internal */
export function readImgProcessor(fields: ConfigFields): Phi3VisionConfig['imgProcessor'] {
  const processor = fields.object('img_processor');
  if (processor === undefined) {
    throw fields.error('CF_FIELD_MISSING', 'img_processor', 'an object that describes the vision tower', undefined);
  }
  processor.only('name', 'clip_vision_model');
  // The published code reads these two, with these defaults, and no published file has them.
  processor.only('layer_idx', -2);
  processor.only('type_feature', 'patch');
  const clipConfig = readClipConfig(processor);
  const imageDimOut = processor.size('image_dim_out');
  if (imageDimOut !== clipConfig.hiddenSize) {
    throw processor.fieldError('image_dim_out', `${clipConfig.hiddenSize}, the width of the vision tower`, imageDimOut);
  }
  const side = clipConfig.imageSize / clipConfig.patchSize;
  const numImgTokens = processor.size('num_img_tokens', (side / 2) ** 2);
  if (numImgTokens !== (side / 2) ** 2) {
    const expected = `${(side / 2) ** 2}, one for each square of four patches`;
    throw processor.fieldError('num_img_tokens', expected, numImgTokens);
  }
  return Object.freeze({
    name: 'clip_vision_model',
    modelName: processor.optionalString('model_name'),
    imageDimOut,
    numImgTokens,
    clipConfig,
  });
}

/**
 * Published files only name the tower; its sizes are in the code beside them (`image_embedding_phi3_v.py`), and are the
 * defaults here. Test models with smaller towers state `clip_config`.
 */
function readClipConfig(processor: ConfigFields): ClipVisionConfig {
  const clip =
    processor.object('clip_config') ??
    new ConfigFields(processor.functionName, processor.file, new Map(), 'clip_config.');
  clip.only('hidden_act', 'quick_gelu');
  // Dropout acts in training only, and the projection into CLIP's common space is not used.
  clip.ignore(['attention_dropout', 'projection_dim']);
  const config: ClipVisionConfig = {
    hiddenSize: clip.size('hidden_size', 1024),
    intermediateSize: clip.size('intermediate_size', 4096),
    numHiddenLayers: clip.size('num_hidden_layers', 24, 1024),
    numAttentionHeads: clip.size('num_attention_heads', 16),
    imageSize: clip.size('image_size', 336),
    patchSize: clip.size('patch_size', 14),
    numChannels: clip.size('num_channels', 3),
    hiddenAct: 'quick_gelu',
    layerNormEps: clip.positive('layer_norm_eps', 1e-5),
  };
  if (config.hiddenSize % config.numAttentionHeads !== 0) {
    const expected = `a multiple of num_attention_heads, ${config.numAttentionHeads}`;
    throw clip.error('CF_HEADS', 'hidden_size', expected, config.hiddenSize);
  }
  if ((config.imageSize / config.patchSize) % 2 !== 0) {
    const expected = `an even multiple of patch_size, ${config.patchSize}`;
    throw clip.fieldError('image_size', expected, config.imageSize);
  }
  return Object.freeze(config);
}

/** Reads `embd_layer`: how features become image tokens. All published members do it in one way. @internal */
export function readEmbdLayer(fields: ConfigFields): Phi3VisionConfig['embdLayer'] {
  const layer = fields.object('embd_layer');
  if (layer === undefined) {
    throw fields.error('CF_FIELD_MISSING', 'embd_layer', 'an object that describes the image embedding', undefined);
  }
  layer.only('embedding_cls', 'image');
  // Where these are absent the published code does something else, so they must be there.
  for (const [name, value] of [
    ['hd_transform_order', 'sub_glb'],
    ['projection_cls', 'mlp'],
    ['use_hd_transform', true],
    ['with_learnable_separator', true],
  ] as const) {
    if (layer.value(name) === undefined) throw layer.error('CF_FIELD_MISSING', name, JSON.stringify(value), undefined);
    layer.only(name, value);
  }
  return Object.freeze({
    hdTransformOrder: 'sub_glb',
    projectionCls: 'mlp',
    useHdTransform: true,
    withLearnableSeparator: true,
  });
}
