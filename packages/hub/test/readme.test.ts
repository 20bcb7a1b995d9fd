import { testMarkdown } from '@phiblocks/testing';
import * as api from '../src/index.ts';
import * as node from '../src/node.ts';
import { tinySetting } from './tiny-setting.ts';

testMarkdown(
  new URL('../README.md', import.meta.url),
  { '@phiblocks/hub': api, '@phiblocks/hub/node': node },
  await tinySetting(),
);
