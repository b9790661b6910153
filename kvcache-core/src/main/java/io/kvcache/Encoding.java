package io.kvcache;

import java.util.Objects;

/**
 * How a segment's chunks are stored: which of its tokens, and by which codec. The method and rate of the placement
 * decision.
 *
 * @param codec number of the codec the kept rows are encoded by; 0 for raw
 * @param dropping how the tokens kept were chosen; {@link DropMethod#NONE} when all are
 * @param retainedPercent share of the tokens kept in each layer and head, 1 to 99; 100 when all are
 */
public record Encoding(int codec, DropMethod dropping, int retainedPercent) {
  /** Every token, as it came. */
  public static final Encoding RAW = of(0);

  private static final int MAX_CODEC = 0xFFFF;

  /** Checks every component. */
  public Encoding {
    Checks.requireBetween(codec, 0, MAX_CODEC, "codec");
    Objects.requireNonNull(dropping, "dropping");
    if (dropping == DropMethod.NONE) {
      Checks.requireBetween(retainedPercent, 100, 100, "retainedPercent of an encoding that drops nothing");
    } else {
      Checks.requireBetween(retainedPercent, 1, 99, "retainedPercent");
    }
  }

  /** Every token, by this codec. */
  public static Encoding of(int codec) {
    return new Encoding(codec, DropMethod.NONE, 100);
  }

  /** This share of the tokens, by this codec. */
  public Encoding keeping(DropMethod method, int percent) {
    return new Encoding(codec, method, percent);
  }

  /** Whether tokens are missing. */
  public boolean dropsTokens() {
    return dropping != DropMethod.NONE;
  }

  /** Share of the tokens kept, above 0 and at most 1. */
  public double retainedFraction() {
    return retainedPercent / 100.0;
  }

  /** Name for metrics and reports, such as {@code keydiff-50+int4}; {@code codecName} is the codec's. */
  public String name(String codecName) {
    if (!dropsTokens()) {
      return codecName;
    }
    String dropped = dropping.label() + "-" + retainedPercent;
    return codec == 0 ? dropped : dropped + "+" + codecName;
  }
}
