// Routes random tokens and shows how many each expert gets. Run with Node 22.18 or later: node examples/route-tokens.ts
import { groupTokensByExpert, routeSparseMixer } from '@phiblocks/mixture-of-experts';

const [numTokens, numExperts] = [200, 16];
const scores = {
  data: new Float32Array(numTokens * numExperts).map(() => Math.random() * 4 - 2),
  shape: [numTokens, numExperts],
};
const routing = routeSparseMixer(scores, { expertsPerToken: 2, jitterEpsilon: 0.01 });

for (const { expert, tokens } of groupTokensByExpert(routing)) {
  console.log(`expert ${`${expert}`.padStart(2)}  ${'#'.repeat(tokens.length)} ${tokens.length}`);
}
const shared = routing.weights.filter((weight) => weight < 1).length;
console.log(`${shared} of ${routing.weights.length} weights are below 1: a rival was within two percent`);
