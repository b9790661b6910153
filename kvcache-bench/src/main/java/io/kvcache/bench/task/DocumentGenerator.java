package io.kvcache.bench.task;

import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;

/**
 * Writes the documents of the recall task. A document depends on size, kind and seed alone, so it can
 * be named by them. Immutable and thread-safe.
 */
public final class DocumentGenerator {
  /** Seeds from here on are for testing; training uses smaller ones only. */
  public static final long FIRST_HELD_OUT_SEED = 1L << 40;

  /** No line is longer, so a document falls short of the length drawn for it by less than this. */
  private static final int MAX_LINE_TOKENS = 15;

  private static final int DOCUMENTS_A_SEED = 1_000_000;

  private final DocumentSize size;

  /** A generator of documents of the given size. */
  public DocumentGenerator(DocumentSize size) {
    this.size = size;
  }

  /**
   * One of the documents that a seed of a test stands for: all kinds in turn, none of them in training nor in what
   * another seed stands for.
   *
   * @param number which of them, 0 to 999,999
   */
  public RecallDocument heldOut(long seed, int number) {
    if (number < 0 || number >= DOCUMENTS_A_SEED) {
      throw new IllegalArgumentException("number is " + number + ", must be 0 to " + (DOCUMENTS_A_SEED - 1));
    }
    DocumentKind[] kinds = DocumentKind.values();
    return generate(kinds[number % kinds.length], FIRST_HELD_OUT_SEED + seed * DOCUMENTS_A_SEED + number);
  }

  /** The document of this kind and seed, always the same. */
  public RecallDocument generate(DocumentKind kind, long seed) {
    SplittableRandom random = new SplittableRandom(mix(seed * 31 + kind.ordinal()));
    int tokens = random.nextInt(size.minTokens() + MAX_LINE_TOKENS, size.maxTokens() + 1);
    return switch (kind) {
      case NOTES -> notes(new Draft(random, tokens, "notes ."));
      case LEDGER -> ledger(new Draft(random, tokens, "ledger of accounts ."));
      case STORY -> story(new Draft(random, tokens, "the tale ."));
      case LOG -> log(new Draft(random, tokens, "log ."));
      case REFERENCE -> reference(new Draft(random, tokens, "list of houses ."));
      case NUMBERS -> numbers(new Draft(random, tokens, "list of numbers ."));
    };
  }

  private static RecallDocument notes(Draft draft) {
    for (String name : draft.pickDistinct(Words.NAMES, draft.facts(10, 4, Words.NAMES.size()))) {
      String item = draft.pick(Words.ITEMS);
      draft.line(name + " " + item + " .");
      draft.question("item", name, item);
    }
    draft.fill(() -> scenery(draft));
    draft.shuffleLines();
    return draft.finish(DocumentKind.NOTES);
  }

  private static RecallDocument ledger(Draft draft) {
    for (String name : draft.pickDistinct(Words.NAMES, Words.NAMES.size())) {
      String town = draft.pick(Words.PLACES);
      String coins = draft.number(2);
      if (!draft.line(name + " of " + town + " has " + coins + " coins .")) {
        break;
      }
      draft.question("town", name, town);
      draft.question("coins", name, coins);
    }
    return draft.finish(DocumentKind.LEDGER);
  }

  private static RecallDocument story(Draft draft) {
    record Fact(String name, String value, boolean item) {
      String tell(Draft draft) {
        List<String> ways =
            item
                ? List.of("N carries the V .", "N still keeps the V .", "every one saw N with the V .")
                : List.of("N lives in V .", "N is at home in V .", "N still stays in V .");
        return draft.pick(ways).replace("N", name).replace("V", value);
      }
    }

    List<Fact> facts = new ArrayList<>();
    for (String name : draft.pickDistinct(Words.NAMES, draft.facts(100, 2, 20))) {
      String item = draft.pick(Words.ITEMS);
      String town = draft.pick(Words.PLACES);
      facts.add(new Fact(name, item, true));
      facts.add(new Fact(name, town, false));
      draft.question("item", name, item);
      draft.question("town", name, town);
    }
    facts.forEach(fact -> draft.line(fact.tell(draft)));
    List<Fact> untold = new ArrayList<>();
    draft.fill(
        () -> {
          if (draft.chance(0.2)) {
            return scenery(draft);
          }
          if (untold.isEmpty()) {
            untold.addAll(facts);
            draft.shuffle(untold);
          }
          return untold.removeLast().tell(draft);
        });
    return draft.finish(DocumentKind.STORY);
  }

  private static RecallDocument log(Draft draft) {
    int alerts = draft.facts(100, 2, 16);
    List<String> hosts = draft.pickDistinct(Words.ANIMALS, alerts + 6);
    for (String host : hosts.subList(0, alerts)) {
      String code = draft.number(3);
      draft.line("alert host " + host + " code " + code + " .");
      draft.question("code", host, code);
    }
    draft.fill(() -> routine(draft, hosts.subList(alerts, hosts.size())));
    draft.shuffleLines();
    return draft.finish(DocumentKind.LOG);
  }

  private static RecallDocument reference(Draft draft) {
    int people = draft.facts(20, 2, 80);
    List<String> houses = draft.pickDistinct(Words.ANIMALS, Math.max(2, people / 2));
    List<String> towns = new ArrayList<>();
    for (String house : houses) {
      String town = draft.pick(Words.PLACES);
      towns.add(town);
      draft.line("house " + house + " stands in " + town + " .");
    }
    for (String name : draft.pickDistinct(Words.NAMES, people)) {
      int house = draft.below(houses.size());
      draft.line(name + " belongs to house " + houses.get(house) + " .");
      draft.question("house", name, houses.get(house) + " in " + towns.get(house));
    }
    draft.fill(() -> scenery(draft));
    draft.shuffleLines();
    return draft.finish(DocumentKind.REFERENCE);
  }

  private static RecallDocument numbers(Draft draft) {
    for (String name : draft.pickDistinct(Words.NAMES, draft.facts(18, 2, 100))) {
      String number = draft.number(6);
      draft.line("the number of " + name + " is " + number + " .");
      draft.question("number", name, number);
    }
    draft.fill(() -> scenery(draft));
    draft.shuffleLines();
    return draft.finish(DocumentKind.NUMBERS);
  }

  /** A sentence that no question asks about. */
  private static String scenery(Draft draft) {
    String noun = draft.pick(Words.NOUNS);
    String adjective = draft.pick(Words.ADJECTIVES);
    return draft.chance(0.5)
        ? "the " + noun + " was " + adjective + " and " + draft.pick(Words.ADJECTIVES) + " ."
        : "the " + adjective + " " + noun + " was still " + draft.pick(Words.ADJECTIVES) + " .";
  }

  /** A line of a log that no question asks about; its digits are there to mislead. */
  private static String routine(Draft draft, List<String> hosts) {
    String host = draft.pick(hosts);
    List<String> lines =
        List.of(
            "info host H load D .",
            "info host H disk check passed .",
            "info host H backup job D done .",
            "info host H cache cleared .",
            "info host H memory D free .",
            "info queue has D requests from host H .");
    return draft.pick(lines).replace("H", host).replace("D", draft.number(2));
  }

  /** Scatters neighbouring seeds (the finalizer of MurmurHash3). */
  private static long mix(long value) {
    value = (value ^ (value >>> 33)) * 0xff51afd7ed558ccdL;
    value = (value ^ (value >>> 33)) * 0xc4ceb9fe1a85ec53L;
    return value ^ (value >>> 33);
  }
}
