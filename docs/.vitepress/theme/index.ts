import type { Theme } from 'vitepress';
import DefaultTheme from 'vitepress/theme';
import Environment from './components/Environment.vue';
import Figure from './components/Figure.vue';
import PlaygroundFrame from './components/PlaygroundFrame.vue';
import SiteLayout from './components/SiteLayout.vue';
import './style/site.css';

export default {
  extends: DefaultTheme,
  Layout: SiteLayout,
  enhanceApp({ app }) {
    // Small, and without any package: figures load what they need themselves.
    app.component('Figure', Figure);
    app.component('Environment', Environment);
    app.component('PlaygroundFrame', PlaygroundFrame);
  },
} satisfies Theme;
