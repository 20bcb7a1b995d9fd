export { type ConformanceOptions, testBackend } from './test-backend.ts';
