/// <reference types="vitepress/client" />
import type { DefineComponent } from 'vue';

declare module 'vue' {
  interface GlobalComponents {
    /** Of VitePress, which registers it and does not say so to TypeScript: renders its slot in the browser only. */
    ClientOnly: DefineComponent;
  }
}
