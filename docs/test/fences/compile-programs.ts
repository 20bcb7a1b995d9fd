import { dirname, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';

const repository = fileURLToPath(new URL('../../..', import.meta.url));

/**
 * Type-checks sources as strictly as the packages themselves, but for names that are declared and not read, which a text to
 * be read may have. They resolve imports as files of `docs` do: the built packages.
 *
 * @param sources - text by a name for messages
 * @returns what is wrong, by the same names: `line N: message`
 */
export function compilePrograms(sources: ReadonlyMap<string, string>): Map<string, string[]> {
  const base = ts.parseConfigFileTextToJson('tsconfig', ts.sys.readFile(resolve(repository, 'tsconfig.base.json'))!);
  const { options } = ts.convertCompilerOptionsFromJson(base.config.compilerOptions, repository);
  const compilerOptions: ts.CompilerOptions = {
    ...options,
    noUnusedLocals: false,
    noUnusedParameters: false,
    typeRoots: [resolve(repository, 'node_modules/@types')],
  };
  const folder = resolve(repository, 'docs');
  const nameOfFile = new Map<string, string>();
  const textOfFile = new Map<string, string>();
  for (const [index, [name, source]] of [...sources].entries()) {
    const file = resolve(folder, `fence-program-${index}.ts`);
    nameOfFile.set(file, name);
    textOfFile.set(file, source);
  }
  const host = ts.createCompilerHost(compilerOptions);
  const { readFile, fileExists, getSourceFile } = host;
  host.getCurrentDirectory = () => folder;
  host.readFile = (file) => textOfFile.get(file) ?? readFile(file);
  host.fileExists = (file) => textOfFile.has(file) || fileExists(file);
  host.getSourceFile = (file, languageVersion, ...more) => {
    const text = textOfFile.get(file);
    return text === undefined
      ? getSourceFile(file, languageVersion, ...more)
      : ts.createSourceFile(file, text, languageVersion);
  };
  const program = ts.createProgram([...textOfFile.keys()], compilerOptions, host);
  const wrong = new Map<string, string[]>([...sources.keys()].map((name) => [name, []]));
  for (const diagnostic of ts.getPreEmitDiagnostics(program)) {
    const name = diagnostic.file && nameOfFile.get(diagnostic.file.fileName);
    const message = ts.flattenDiagnosticMessageText(diagnostic.messageText, '\n');
    if (name === undefined) throw new Error(`${diagnostic.file?.fileName ?? dirname(folder)}: ${message}`);
    const { line } = diagnostic.file!.getLineAndCharacterOfPosition(diagnostic.start ?? 0);
    wrong.get(name)!.push(`line ${line + 1}: ${message}`);
  }
  return wrong;
}
