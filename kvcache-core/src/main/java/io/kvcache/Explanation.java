package io.kvcache;

import java.util.List;
import java.util.Locale;
import java.util.Objects;

/**
 * Why a context is stored as it is, segment by segment.
 *
 * @param requestedTokens tokens of the prompt asked about
 * @param segments what is known of it, from token 0 on; empty when nothing is stored
 */
public record Explanation(int requestedTokens, List<Segment> segments) {
  /** Copies the list. */
  public Explanation {
    segments = List.copyOf(segments);
  }

  /**
   * A run of tokens that is stored and decided about as one.
   *
   * @param firstToken position of the first
   * @param tokens how many
   * @param uses how often look-ups covered it; the store counts as 1
   * @param frequency the same, decayed
   * @param profiled whether its qualities were measured
   * @param reason why it is as it is, in a sentence
   * @param options what could be done with it, best first
   */
  public record Segment(int firstToken, int tokens, long uses, double frequency, boolean profiled,
      String reason,
      List<Option> options) {
    /** Checks the reason and copies the list. */
    public Segment {
      Objects.requireNonNull(reason, "reason");
      options = List.copyOf(options);
    }
  }

  /**
   * Something that could be done with a segment.
   *
   * @param tier name of the tier; {@code none} for not storing it but computing it again
   * @param encoding name of the encoding; {@code none} likewise
   * @param storedBytes bytes it takes, measured or expected
   * @param quality of the context's answers, 0 to 1
   * @param delaySeconds until its KV is there
   * @param utility what the policy compares, in seconds per frequency's unit of time
   * @param present whether it is so now
   */
  public record Option(String tier, String encoding, long storedBytes, double quality, double delaySeconds,
      double utility, boolean present) {}

  /** A table for people, with at most so many options a segment besides the present ones. */
  public String text(int mostOptions) {
    if (segments.isEmpty()) {
      return "nothing of the prompt's " + requestedTokens + " tokens is stored\n";
    }
    StringBuilder text = new StringBuilder();
    for (Segment segment : segments) {
      text.append(String.format(Locale.ROOT, "tokens %d to %d, used %d times (%.2f decayed), %s: %s%n",
          segment.firstToken, segment.firstToken + segment.tokens - 1, segment.uses, segment.frequency,
          segment.profiled ? "measured" : "not measured", segment.reason));
      if (!segment.options.isEmpty()) {
        text.append(
            String.format("    %-10s %-20s %12s %8s %12s %12s%n", "tier", "encoding", "bytes", "quality",
                "delay, ms", "utility"));
      }
      int shown = 0;
      for (Option option : segment.options) {
        if (option.present || shown < mostOptions) {
          text.append(String.format(Locale.ROOT, "  %s %-10s %-20s %,12d %8.3f %12.3f %12.6f%n",
              option.present ? "*" : " ", option.tier, option.encoding, option.storedBytes, option.quality,
              1e3 * option.delaySeconds, option.utility));
          shown += option.present ? 0 : 1;
        }
      }
    }
    return text.toString();
  }

  /** The table with the five best options. */
  @Override
  public String toString() {
    return text(5);
  }
}
