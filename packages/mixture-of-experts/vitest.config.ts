import { packageTests } from '../../vitest.base.ts';

export default packageTests('mixture-of-experts');
