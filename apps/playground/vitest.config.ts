import { mergeConfig } from 'vitest/config';
import { packageTests } from '../../vitest.base.ts';

// One browser at a time: each takes every core there is.
export default mergeConfig(packageTests('playground'), { test: { fileParallelism: false } });
