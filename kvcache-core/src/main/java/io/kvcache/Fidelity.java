package io.kvcache;

import java.util.Objects;

/** What reading gives back, compared with what was stored. */
public sealed interface Fidelity {
  /** Every byte as it was stored. */
  Fidelity EXACT = new Exact();

  /** Every byte as it was stored. */
  record Exact() implements Fidelity {}

  /**
   * Every token, with rounded elements.
   *
   * @param bits bits an element was reduced to, 1 to 16
   */
  record Quantized(int bits) implements Fidelity {
    /** Checks the component. */
    public Quantized {
      Checks.requireBetween(bits, 1, 16, "bits");
    }
  }

  /**
   * A subset of the tokens.
   *
   * @param retainedFraction share of tokens kept, above 0 and at most 1
   * @param values what the kept tokens are like
   */
  record Pruned(double retainedFraction, Fidelity values) implements Fidelity {
    /** Checks every component. */
    public Pruned {
      if (!(retainedFraction > 0 && retainedFraction <= 1)) {
        throw new IllegalArgumentException(
            "retainedFraction is " + retainedFraction + ", must be above 0 and at most 1");
      }
      Objects.requireNonNull(values, "values");
    }
  }

  /** Whether every byte is as it was stored. */
  default boolean exact() {
    return this instanceof Exact;
  }
}
