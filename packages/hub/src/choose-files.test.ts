import { describe, expect, it } from 'vitest';
import { chooseFiles, type FileChoice } from './choose-files.ts';

const choose = (listed: string[], choice: Partial<FileChoice> = {}) =>
  chooseFiles(listed, {
    repository: 'a/b',
    subfolder: undefined,
    choice: undefined,
    files: undefined,
    weights: true,
    ...choice,
  });
// The names in the published GGUF repositories of the family.
const published = ['Phi-3-mini-4k-instruct-fp16.gguf', 'Phi-3-mini-4k-instruct-q4.gguf', 'README.md', 'config.json'];
const many = ['m-Q4_K_M.gguf', 'm-Q4_K_S.gguf', 'm-Q4_0.gguf', 'm-IQ4_XS.gguf', 'mmproj-m-Q4_0.gguf'];

describe('chooseFiles', () => {
  it.each([
    ['q4', 'Phi-3-mini-4k-instruct-q4.gguf'],
    ['FP16', 'Phi-3-mini-4k-instruct-fp16.gguf'],
    ['Phi-3-mini-4k-instruct-q4.gguf', 'Phi-3-mini-4k-instruct-q4.gguf'],
  ])(':%s is %s', (choice, name) => {
    expect(choose(published, { choice })).toEqual({ format: 'gguf', names: [name], ggufParts: [name] });
  });

  it.each(['Q4_K_M', 'Q4_0', 'IQ4_XS'])(':%s is one of many, and no part of a longer name', (choice) => {
    expect(choose(many, { choice }).names).toEqual([`m-${choice}.gguf`]);
  });

  it.each([
    ['Q4', 'found none; there is m-'],
    ['Q4_K', 'found none; there is m-'],
    ['m', 'found 4: m-'],
  ])(':%s is an error that lists what there is', (choice, listed) => {
    expect(() => choose(many, { choice })).toThrow(/HUB_FILE_CHOICE.*m-Q4_K_S\.gguf/);
    expect(() => choose(many, { choice })).toThrow(listed);
  });

  it('takes the parts of a split model, all of them', () => {
    const parts = ['Q4_K_M/m-Q4_K_M-00001-of-00002.gguf', 'Q4_K_M/m-Q4_K_M-00002-of-00002.gguf'];
    expect(choose([...parts, ...many.slice(2)], { choice: 'q4_k_m' }).ggufParts).toEqual(parts);
    expect(choose([...parts, ...many], { choice: parts[1] }).ggufParts).toEqual(parts);
    expect(() => choose([parts[1]!], { choice: 'Q4_K_M' })).toThrow(/HUB_FILE_CHOICE.*all 2 parts/);
  });

  it('needs no choice where there is one', () => {
    expect(choose(['m-Q4_0.gguf']).names).toEqual(['m-Q4_0.gguf']);
    expect(() => choose(published.slice(0, 2))).toThrow(/HUB_FILE_CHOICE.*a\/b:Q4_K_M/);
  });

  it('takes safetensors, with what describes them, and only of its own folder', () => {
    const listed = [
      'config.json',
      'model.safetensors',
      'tokenizer.json',
      'x.py',
      'onnx/config.json',
      'onnx/model.safetensors',
    ];
    expect(choose(listed).names).toEqual(['config.json', 'tokenizer.json', 'model.safetensors']);
    expect(choose(listed, { subfolder: 'onnx' }).names).toEqual(['onnx/config.json', 'onnx/model.safetensors']);
    expect(choose([...listed, 'm-q4.gguf'], { choice: 'q4' }).names).toEqual(['m-q4.gguf']);
  });

  it('leaves weights out when told to, where they are files of their own', () => {
    expect(choose(['config.json', 'model.safetensors', 'tokenizer.json'], { weights: false })).toEqual({
      format: 'files',
      names: ['config.json', 'tokenizer.json'],
      ggufParts: [],
    });
    expect(choose(['m-Q4_0.gguf'], { weights: false }).names).toEqual(['m-Q4_0.gguf']);
  });

  it('takes exactly the files that are asked for', () => {
    expect(choose(published, { files: ['README.md'] }).names).toEqual(['README.md']);
    expect(() => choose(published, { files: ['x', 'y'] })).toThrow(/HUB_FILE_NOT_FOUND.*no x, no y/);
  });

  it('has nothing to take without weights', () => {
    expect(() => choose(['README.md', 'pytorch_model.bin'])).toThrow(/HUB_NO_WEIGHTS/);
  });
});
