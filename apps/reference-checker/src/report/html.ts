import type { Report } from '../result.ts';
export async function htmlReport(report: Report): Promise<string> {
  return JSON.stringify(report);
}
