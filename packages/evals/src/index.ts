export { evalsErrorCodes } from './errors.ts';
export { type EvaluatedModel, evaluatedModel } from './evaluated-model.ts';
export { type EvaluationResult, parseEvaluationResult } from './evaluation-result.ts';
export { formatSummary } from './format-summary.ts';
export { type ChoiceQuestion, type ChoiceScores, parseChoiceQuestions, scoreChoices } from './multiple-choice.ts';
export { type PerplexityOptions, type PerplexityResult, perplexity } from './perplexity.ts';
export {
  type ChoiceRecord,
  type EvaluationProgress,
  type EvaluationRecord,
  type EvaluationRun,
  type EvaluationSpecification,
  type LongContextSpecification,
  type MultipleChoiceSpecification,
  type PerplexityRecord,
  type PerplexitySpecification,
  runEvaluation,
  type SkippedRecord,
  type TaskRecord,
} from './run-evaluation.ts';
export type { Prompt, Scoring, TaskInput, TaskSample, TokenCounter } from './sample.ts';
export { scoreAny, scoreOutput } from './score-output.ts';
export { createTaskSample, suites, taskNames, tasksOfSuite } from './suites.ts';
export type { EvaluationSummary, TaskSummary } from './summary.ts';
export { commonWordsTask } from './tasks/common-words.ts';
export { frequentWordsTask } from './tasks/frequent-words.ts';
export { type NeedleTaskName, type NeedleVariant, needleTask, needleVariants } from './tasks/needle.ts';
export { passkeyTask } from './tasks/passkey.ts';
export { variableTrackingTask } from './tasks/variable-tracking.ts';
export { withLongFactors } from './with-long-factors.ts';
