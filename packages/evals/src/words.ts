// Plain words, written down for this project. Keys are adjective and noun; the lists of common words take both.

export const adjectives: readonly string[] =
  `able ancient bitter brave bright broad calm careful cheap clean clear clever
cold cool crisp curious damp dark deep dense dim dry dull dusty eager early easy empty even faint fair famous fast fine firm
flat fond free fresh full gentle glad golden grand gray great green happy hard heavy hollow honest humble idle jolly keen kind
large late lazy lean light little lonely long loose loud low lucky mild modern narrow near neat new nimble noble odd old open
orange pale plain polite poor proud purple quick quiet rapid rare raw ready red rich ripe rough round royal sad safe salty
sharp shy silent silver simple slim slow small smooth soft solid sour steep stern still stout strange strong sunny sweet swift
tall tame tender thick thin tidy tiny tired true vast warm weak weary white whole wide wild wise wooden young`.split(
    /\s+/,
  );

export const nouns: readonly string[] =
  `acorn anchor apple arrow autumn badge bakery balcony bamboo banner barn basket beach
beacon bell bench berry blanket boat bottle branch brick bridge brook brush bucket button cabin candle canyon carpet castle
cave chair cherry chimney circle cliff clock cloud clover coast coin comet copper corner cottage cotton cradle crown crystal
curtain desert dolphin door dragon drum eagle engine fabric falcon farm feather fence ferry field flame flower flute forest
fountain garden gate glacier glove goose grape harbor hammer harvest hill honey horse house island ivory jacket jungle kettle
kitchen kite ladder lake lamp lantern leaf lemon letter library lion lumber magnet maple marble market meadow mirror mountain
needle nest oak ocean olive onion orchard otter oven owl paddle palace parade pasture path pebble pencil pepper piano pigeon
pillow pine planet plate pocket pond potato prairie puzzle quarry quilt rabbit rain raven ribbon river rocket roof root rope
saddle sail salmon sand school seed shadow shell shelter ship shore shovel signal sparrow spring squirrel stable star station
stone storm stream summer sunset table temple thunder tiger timber tower trail train treasure tunnel turtle valley velvet
village violin wagon walnut water whale wheat wheel willow window winter wolf wool`.split(/\s+/);

/** Shorter words first come last: what fills the last few tokens of a length. */
export const shortWords: readonly string[] = ['and so on', 'so on', 'yes', 'so', 'a'];
