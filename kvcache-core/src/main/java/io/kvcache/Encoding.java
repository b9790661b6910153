package io.kvcache;

import java.util.Objects;

/**
 * How a segment's chunks are stored: which of its tokens, and by which codec. The method and rate of the placement
 * decision.
 *
 * @param codec number of the codec the kept rows are encoded by; 0 for raw
 * @param dropping how the tokens kept were chosen; {@link DropMethod#NONE} when all are
 * @param retainedPercent share of the tokens kept in each layer and head, 1 to 99; 100 when all are
 * @param uniform whether all layers and heads keep the same tokens, rather than each those that matter to it
 */
public record Encoding(int codec, DropMethod dropping, int retainedPercent, boolean uniform) {
  /** Every token, as it came. */
  public static final Encoding RAW = of(0);

  private static final int MAX_CODEC = 0xFFFF;
  private static final String UNIFORM = "uniform-";

  /** Checks every component. */
  public Encoding {
    Checks.requireBetween(codec, 0, MAX_CODEC, "codec");
    Objects.requireNonNull(dropping, "dropping");
    if (dropping == DropMethod.NONE) {
      Checks.requireBetween(retainedPercent, 100, 100, "retainedPercent of an encoding that drops nothing");
      if (uniform) {
        throw new IllegalArgumentException("an encoding that drops nothing is not uniform");
      }
    } else {
      Checks.requireBetween(retainedPercent, 1, 99, "retainedPercent");
    }
  }

  /** Every token, by this codec. */
  public static Encoding of(int codec) {
    return new Encoding(codec, DropMethod.NONE, 100, false);
  }

  /** This share of the tokens, by this codec; each head of a layer keeps those that matter to it. */
  public Encoding keeping(DropMethod method, int percent) {
    return new Encoding(codec, method, percent, false);
  }

  /**
   * This share of the tokens, by this codec; all layers and heads keep the same, those that matter most to them on
   * average. For engines that can only leave out whole tokens ({@link AcquireOptions#acceptingUniformlyPruned}).
   */
  public Encoding keepingUniformly(DropMethod method, int percent) {
    return new Encoding(codec, method, percent, true);
  }

  /** Whether tokens are missing. */
  public boolean dropsTokens() {
    return dropping != DropMethod.NONE;
  }

  /** Share of the tokens kept, above 0 and at most 1. */
  public double retainedFraction() {
    return retainedPercent / 100.0;
  }

  /** Whether the rows kept are those of another encoding, as far as that goes by method and share. */
  public boolean keepsAs(Encoding other) {
    return dropping == other.dropping && retainedPercent == other.retainedPercent && uniform == other.uniform;
  }

  /**
   * Name for metrics and reports, such as {@code keydiff-50+int4} or {@code uniform-h2o-30}; {@code codecName} is the
   * codec's.
   */
  public String name(String codecName) {
    if (!dropsTokens()) {
      return codecName;
    }
    String dropped = (uniform ? UNIFORM : "") + dropping.label() + "-" + retainedPercent;
    return codec == 0 ? dropped : dropped + "+" + codecName;
  }
}
