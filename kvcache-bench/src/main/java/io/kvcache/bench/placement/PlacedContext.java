package io.kvcache.bench.placement;

import io.kvcache.Explanation;
import io.kvcache.Explanation.Option;
import io.kvcache.Explanation.Segment;
import java.util.List;
import java.util.Locale;

/**
 * Where a document, or a part of it that is decided about on its own, came to be, and why.
 *
 * @param document its index
 * @param kind what the document is like
 * @param tokens tokens of the part
 * @param method encoding; {@code none} when it is not stored
 * @param rate stored bytes, as a share of those of the KV
 * @param tier name of the tier; {@code none} when it is not stored
 * @param quality measured or expected, 0 to 1
 * @param frequency uses, decayed
 * @param utility what the policy compares
 * @param choice how that stands among the alternatives, in a few words
 * @param reason the policy's own words
 */
public record PlacedContext(int document, String kind, int tokens, String method, double rate, String tier,
    double quality, double frequency, double utility, String choice, String reason) {
  private static final String NONE = "none";

  /** Whether anything is stored of it. */
  public boolean stored() {
    return frequency > 0 || !tier.equals(NONE);
  }

  /** A document that nothing is stored of. */
  static PlacedContext absent(int document, String kind, int tokens) {
    String choice = "not stored: turned away, or made room";
    return new PlacedContext(document, kind, tokens, NONE, 0, NONE, 1, 0, 0, choice, choice);
  }

  /** What a segment's explanation says. */
  static PlacedContext of(int document, String kind, Segment segment, long tokenBytes) {
    List<Option> options = segment.options();
    Option present = options.stream().filter(Option::present).findFirst().orElse(null);
    if (present == null) {
      return new PlacedContext(document, kind, segment.tokens(), NONE, 0, NONE, 1, segment.frequency(), 0,
          "stored in part, or on the move", segment.reason());
    }
    return new PlacedContext(document, kind, segment.tokens(), present.encoding(),
        (double) present.storedBytes() / (segment.tokens() * tokenBytes), present.tier(), present.quality(),
        segment.frequency(), present.utility(), choice(options, present), segment.reason());
  }

  private static String choice(List<Option> options, Option present) {
    Option best = options.getFirst();
    if (best == present) {
      return "best of " + options.size();
    }
    return String.format(Locale.ROOT, "%d of %d; %s in %s +%.2g", options.indexOf(present) + 1,
        options.size(),
        best.encoding(), best.tier(), best.utility() - present.utility());
  }

  /** All parts of a document. */
  static List<PlacedContext> of(int document, String kind, int tokens, Explanation explanation,
      long tokenBytes) {
    return explanation.segments().isEmpty()
        ? List.of(absent(document, kind, tokens))
        : explanation.segments().stream().map(segment -> of(document, kind, segment, tokenBytes)).toList();
  }
}
