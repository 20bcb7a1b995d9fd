// A made-up text of any size, the same for the same seed on every machine: about half English prose, a third source code
// in five languages, the rest numbers, logs and text in other scripts. Words follow a Zipf-like law, and one word in
// twelve is invented, so that remembering words helps about as much as it does on real text.

const common =
  `the of and to in a is that it was for on are as with his they at be this from have or by one had not but what all were when we there can an your which their said if do will each about how up out them then she many some so these would other into has more her two like him see time could no make than first been its who now people my made over did down only way find use may water long little very after words called just where most know get through back much before go good new write our used me man too any day same right look think also around another came come work three must because does part even place well such here take why help put different away again off went old number great tell men say small every found still between name should home big give air line set own under read last never us left end along while might next sound below saw something thought both few those always show large often together asked house world going want school important until form food keep children feet land side without boy once animal life enough took four head above kind began almost live page got earth need far hand high year mother light country father let night picture being study second soon story since white ever paper hard near sentence better best across during today however sure knew try told young sun thing whole hear example heard several change answer room sea against top turned learn point city play toward five himself usually money seen car morning body upon family later turn move face door cut done group true half red fish plants living black eat short United run book gave order open ground cold really table remember tree course front American space inside ago sad early learned brought close nothing though idea before lived became add become grow draw yet less wind behind cannot letter among able dog shown mean English rest perhaps certain six feel fire ready green built special ran full town complete oh person hot anything hold state list stood hundred ten fast felt kept notice strong voice probably area horse matter stand box start class piece surface river common stop talk whether fine round dark past ball girl road blue instead either held already warm gone finally summer understand moon animals mind outside power problem longer winter deep heavy carefully follow beautiful everyone leave everything game system bring watch shell dry within floor ice ship themselves begin fact third quickly distance although sometimes`.split(
    ' ',
  );
const names =
  'Alice Bernard Chiara Dmitri Elena Farouk Grace Hiroshi Ingrid João Katarzyna Liam Müller Nadia Oluwaseun Priya Quentin Rosa Søren Tomás London Paris Kyoto Nairobi Chicago Zürich Monday September European'.split(
    ' ',
  );
const syllables =
  'an ar be ca co de di el en er fi ga in is ka la le li lo ma me mi na ne no or pa pe ra re ri ro sa se si ta te ti to tra un va ver vi con pro str ing ment tion able ist ous ize'.split(
    ' ',
  );
const identifiers =
  'index value result count buffer offset length node parent child token cache config options request response handler error message state input output key item list map size weight layer tensor shape data path file stream reader writer user session client server query table column row text line start end total sum score model batch'.split(
    ' ',
  );
const foreign = {
  russian:
    'и в не на я что он с как это по но они мы все она так его только было вы за же от меня еще нет о из ему когда даже ну вдруг если уже или быть до вас опять слово время человек который город работа дорога Москва сегодня хорошо язык модель'.split(
      ' ',
    ),
  greek: 'και το να του η της με που την από για είναι στο δεν τα οι θα μας λόγος άνθρωπος πόλη νερό σήμερα'.split(' '),
  arabic: 'في من على أن إلى هذا التي كان عن مع الذي بعد كل وقد بين يوم عام قال المدينة اللغة العربية'.split(' '),
  hindi: 'के में है की से को का और एक यह हैं पर कि इस वह नहीं लिए भाषा शहर आज पानी'.split(' '),
  chinese: [
    ...'的一是在不了有和人这中大为上个国我以要他时来用们生到作地于出就分对成会可主发年动同工也能下过子说产种面而方后多定行学法所民得经十三之进着等部度家电力里如水化高自二理起小物现实加量都两体制机当使点从业本去把性好应开它合还因由其些然前外天政四日那社义事平形相全表间样与关各重新线内数正心反你明看原又么利比或但质气第向道命此变条只没结解问意建月公无系军很情者最立代想已通并提直题党程展五果料象员革位入常文总次品式活设及管特件长求老头基资边流路级少图山统接知较将组见计别她手角期根论运农指几九区强放决西被干做必战先回则任取据处队南给色光门即保治北造百规热领七海口东导器压志世金增争济阶油思术极交受联什认六共权收证改清己美再采转更单风切打白教速花带安场身车例真务具万每目至达走积示议声报斗完类八离华名确才科张信马节话米整空元况今集温传土许步群广石记需段研界拉林律叫且究观越织装影算低持音众书布复容儿须际商非验连断深难近矿千周委素技备半办青省列习响约支般史感劳便团往酸历市克何除消构府称太准精值号率族维划选标写存候毛亲快效斯院查江型眼王按格养易置派层片始却专状育厂京识适属圆包火住调满县局照参红细引听该铁价严',
  ],
  japanese:
    'これは です ます という こと もの ある する なる 日本 東京 言葉 今日 水 カタカナ コンピュータ モデル から まで ので しかし'.split(
      ' ',
    ),
  emoji: ['😀', '🎉', '👍🏽', '🏳️‍🌈', '🚀', '❤️', '🦙', '👩‍💻'],
};

function createRandom(seed) {
  let state = seed >>> 0;
  const uniform = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
  const below = (limit) => Math.floor(uniform() * limit);
  return {
    below,
    chance: (probability) => uniform() < probability,
    pick: (list) => list[below(list.length)],
    // Rank r with a probability of about 1/r.
    zipf: (list) => list[Math.min(list.length - 1, Math.floor(list.length ** uniform()) - 1)],
  };
}

/**
 * @param {number} sizeInBytes - size of all parts together in UTF-8, met within a paragraph
 * @param {number} seed
 * @returns {string[]} paragraphs, functions, records
 */
export function createCorpus(sizeInBytes, seed = 1) {
  const random = createRandom(seed);
  const { below, chance, pick, zipf } = random;
  const capital = (word) => word[0].toUpperCase() + word.slice(1);
  const invented = () => Array.from({ length: 2 + below(3) }, () => pick(syllables)).join('');
  const word = () => (chance(1 / 12) ? invented() : chance(1 / 20) ? pick(names) : zipf(common));
  const sentence = () => {
    const words = Array.from({ length: 5 + below(18) }, word);
    if (chance(0.1)) words[below(words.length)] = String(below(chance(0.5) ? 100 : 100000));
    if (chance(0.1)) words[below(words.length)] += pick(["'s", "n't", "'ll", '—', ';', ':']);
    for (let i = 4 + below(6); i < words.length - 1; i += 4 + below(8)) words[i] += ',';
    const text = capital(words.join(' ')) + pick(['.', '.', '.', '.', '?', '!']);
    return chance(0.08) ? `"${text}"` : text;
  };
  const prose = () => `${Array.from({ length: 3 + below(6) }, sentence).join(' ')}\n\n`;
  const camel = () => {
    const parts = Array.from({ length: 1 + below(3) }, () => (chance(0.15) ? invented() : zipf(identifiers)));
    return parts[0] + parts.slice(1).map(capital).join('');
  };
  const snake = () => Array.from({ length: 1 + below(3) }, () => zipf(identifiers)).join('_');
  const figure = () =>
    chance(0.5)
      ? String(below(100))
      : chance(0.5)
        ? `0x${below(2 ** 31).toString(16)}`
        : (below(1e6) / 1000).toFixed(3);

  const code = [
    () => {
      const lines = [`export function ${camel()}(${camel()}: number[], ${camel()} = ${figure()}): number {`];
      for (let i = 3 + below(8); i > 0; i--)
        lines.push(
          pick([
            `  const ${camel()} = ${camel()}.${camel()}(${camel()}, ${figure()});`,
            `  if (${camel()} === undefined || ${camel()}.length > ${figure()}) return ${camel()};`,
            `  for (let i = 0; i < ${camel()}.length; i++) ${camel()} += ${camel()}[i]! * ${figure()};`,
            `  // ${sentence()}`,
            `  await ${camel()}.${camel()}({ ${camel()}: '${word()}', ${camel()}: [${figure()}, ${figure()}] });`,
          ]),
        );
      return `${lines.join('\n')}\n}\n\n`;
    },
    () => {
      const lines = [`def ${snake()}(self, ${snake()}, ${snake()}=None):`, `    """${sentence()}"""`];
      for (let i = 3 + below(8); i > 0; i--)
        lines.push(
          pick([
            `    ${snake()} = self.${snake()}[${figure()}:${figure()}]`,
            `    for ${snake()} in range(len(${snake()})):\n        yield ${snake()}, ${snake()} ** ${figure()}`,
            `    if not ${snake()}:\n        raise ValueError(f"${word()} {${snake()}!r}")`,
            `    return {k: v for k, v in ${snake()}.items() if v is not None}`,
          ]),
        );
      return `${lines.join('\n')}\n\n\n`;
    },
    () =>
      `static int ${snake()}(struct ${snake()} *${snake()}, size_t ${snake()})\n{\n\tuint32_t ${snake()} = ${figure()};\n` +
      Array.from({ length: 3 + below(5) }, () =>
        pick([
          `\tif (!${snake()}->${snake()} || ${snake()} >= ${figure()})\n\t\treturn -EINVAL;\n`,
          `\tmemcpy(&${snake()}[${figure()}], ${snake()}, sizeof(*${snake()}));\n`,
          `\t${snake()}->${snake()} |= (1u << ${below(32)}) & ~${figure()}; /* ${word()} ${word()} */\n`,
        ]),
      ).join('') +
      '\treturn 0;\n}\n\n',
    () =>
      `${JSON.stringify(
        Object.fromEntries(
          Array.from({ length: 3 + below(5) }, () => [camel(), chance(0.5) ? below(1e6) : sentence()]),
        ),
        null,
        2,
      )}\n`,
    () =>
      `<div class="${camel()} ${camel()}">\r\n  <a href="https://example.org/${snake()}?${camel()}=${figure()}">${word()} ${word()}</a>\r\n  <p>${sentence()}</p>\r\n</div>\r\n`,
  ];
  const log = () =>
    Array.from(
      { length: 4 + below(6) },
      () =>
        `2024-${String(1 + below(12)).padStart(2, '0')}-${String(1 + below(28)).padStart(2, '0')}T${String(below(24)).padStart(2, '0')}:${String(below(60)).padStart(2, '0')}:00Z\t${pick(['INFO', 'WARN', 'ERROR'])}\t[${below(2 ** 31).toString(16)}] ${snake()}=${figure()} ${snake()}=${figure()} ${word()} ${word()}\n`,
    ).join('');
  const other = () => {
    const script = pick(Object.keys(foreign));
    const words = foreign[script];
    if (script === 'chinese')
      return `${Array.from({ length: 40 + below(60) }, () => (chance(0.1) ? '，' : pick(words))).join('')}。\n`;
    const gap = script === 'japanese' ? '' : ' ';
    return `${Array.from({ length: 15 + below(30) }, () => (chance(0.1) ? `${zipf(words)},` : zipf(words))).join(gap)}.\n`;
  };

  const encoder = new TextEncoder();
  const parts = [];
  let size = 0;
  while (size < sizeInBytes) {
    const kind = below(100);
    const part = kind < 50 ? prose() : kind < 84 ? pick(code)() : kind < 91 ? log() : other();
    parts.push(part);
    size += encoder.encode(part).length;
  }
  return parts;
}
