package io.kvcache.bench.task;

import java.util.List;

/** The word lists behind {@link Vocabulary}; their order and length fix every token id. */
final class Words {
  static final List<String> DIGITS = words("0 1 2 3 4 5 6 7 8 9");

  /** People: the keys of most facts. */
  static final List<String> NAMES =
      words(
          """
          aaron abel ada adam agnes aida alan albert alice alma amos amy andrew anita anna anton april
          arno arthur astrid aurora barbara basil beatrice ben bertha boris brian bruno carla carlos
          cecil celia chloe clara claude clement cora curtis cyrus dagmar daisy dana daniel daphne david
          dean delia denis diana dominic dora doris dorothy dylan edgar edith edwin elena elias elise
          ella elmer elsa emil emma enid eric erna ernest esther ethan eugene eva evelyn fabian felix
          fiona flora florian frank frida gavin george gerda gilbert gina gloria grace greta gustav
          hannah harold harry hazel hector heidi helen henry hilda homer horace hubert hugo ida igor
          ingrid irene iris isaac ivan ivy jacob james jasper jenny joan joel johanna jonas joseph
          judith julia julius karen karl kate kevin klara konrad kurt lars laura leah leo leon lewis
          lily linda lionel louis lucy lydia mabel magnus marcus maria martin""");

  static final List<String> ITEMS =
      words(
          """
          anchor apple arrow axe ball basket bell blanket book bottle bowl box bread broom brush bucket
          button candle cane carpet chain chair cheese clock cloak coin comb compass crown cup doll drum
          fan feather flag flute fork glove hammer harp hat helmet horn jar kettle key knife ladder lamp
          letter lock map mask mirror nail needle net pearl pen pipe plate purse ring rope""");

  static final List<String> PLACES =
      words(
          """
          accra athens baku basel bergen berlin bern bilbao boston bremen cairo chicago cork dakar delhi
          denver dublin essen geneva genoa ghent graz hanoi havana izmir kyoto lagos leeds lima lisbon
          london lyon madrid malaga manila miami milan minsk munich nairobi naples nice oslo paris porto
          prague quito riga""");

  /** Hosts of logs and houses of references. */
  static final List<String> ANIMALS =
      words(
          """
          badger bear beaver bison boar buffalo camel cobra condor cougar coyote crane crow deer dolphin
          eagle falcon ferret finch fox gecko goose hawk heron horse hyena ibis jackal jaguar koala lark
          lemur leopard lion lizard lynx marten moose otter owl panda panther pelican puma raven robin
          salmon seal""");

  static final List<String> ADJECTIVES =
      words(
          """
          old long cold quiet dark bright narrow heavy empty green grey soft slow broken golden early late
          warm wet dry high low wide wild""");

  static final List<String> NOUNS =
      words(
          """
          road river hill wall garden market night morning winter summer wind rain forest field bridge
          tower door window fire table song story harbour mill""");

  /** Words that hold sentences together. */
  static final List<String> GLUE =
      words(
          """
          . the of in is was has and with still carries keeps lives stays belongs to house stands number notes
          town coins item ledger accounts tale log list houses numbers info alert host code load disk
          check passed backup job done queue cache cleared memory free requests from at home saw
          every one""");

  private Words() {}

  private static List<String> words(String text) {
    return List.of(text.strip().split("\\s+"));
  }
}
