package io.kvcache.bench.placement;

import io.kvcache.spi.Tier;
import java.util.Locale;

/**
 * How fast tiers are allowed to be.
 *
 * @param dramBytesPerSecond above 0; infinite for as fast as it is
 * @param ssdBytesPerSecond likewise
 */
public record Throttle(double dramBytesPerSecond, double ssdBytesPerSecond) {
  /** As fast as they are. */
  public static final Throttle OFF = new Throttle(Double.POSITIVE_INFINITY, Double.POSITIVE_INFINITY);

  /**
   * EvicPress' testbed, as its author's profile gives it: Qwen3-30B-A3B loads KV from memory at 26.9 GB/s and from SSD
   * at 5.17, and computes 2.3 GB/s of it.
   */
  private static final double DRAM_PER_PREFILL = 26.9 / 2.3;
  private static final double SSD_PER_PREFILL = 5.17 / 2.3;
  private static final long SSD_LATENCY_NANOS = 100_000;
  private static final double MEGABYTE = 1e6;

  /** Checks the components. */
  public Throttle {
    if (!(dramBytesPerSecond > 0 && ssdBytesPerSecond > 0)) {
      throw new IllegalArgumentException("the tiers' bytes per second are " + dramBytesPerSecond + " and "
          + ssdBytesPerSecond + ", must be above 0");
    }
  }

  /** In the proportions of a large model, for an engine that computes so many bytes of KV a second. */
  static Throttle ofModel(double prefillBytesPerSecond) {
    return new Throttle(prefillBytesPerSecond * DRAM_PER_PREFILL, prefillBytesPerSecond * SSD_PER_PREFILL);
  }

  /**
   * What a command line says: {@code off}, {@code model}, or the speeds of DRAM and SSD in MB/s, such as
   * {@code 100,20}.
   *
   * @throws IllegalArgumentException when it says none of these
   */
  public static Throttle parse(String text, double prefillBytesPerSecond) {
    switch (text.toLowerCase(Locale.ROOT)) {
      case "off" -> {
        return OFF;
      }
      case "model" -> {
        return ofModel(prefillBytesPerSecond);
      }
      default -> {
        String[] speeds = text.split(",");
        if (speeds.length == 2) {
          try {
            return new Throttle(Double.parseDouble(speeds[0]) * MEGABYTE,
                Double.parseDouble(speeds[1]) * MEGABYTE);
          } catch (IllegalArgumentException notSpeeds) {
            // said below, in the same words
          }
        }
        throw new IllegalArgumentException(
            "'" + text + "' is not off, model or the MB/s of DRAM and SSD, such as 100,20");
      }
    }
  }

  /** Whether anything is held back. */
  public boolean on() {
    return !equals(OFF);
  }

  Tier dram(Tier tier) {
    return throttled(tier, dramBytesPerSecond, 0);
  }

  Tier ssd(Tier tier) {
    return throttled(tier, ssdBytesPerSecond, SSD_LATENCY_NANOS);
  }

  private static Tier throttled(Tier tier, double bytesPerSecond, long latencyNanos) {
    return Double.isInfinite(bytesPerSecond)
        ? tier : new ThrottledTier(tier, new Link(bytesPerSecond, latencyNanos));
  }

  /** For people. */
  @Override
  public String toString() {
    return on()
        ? String.format(Locale.ROOT, "DRAM held to %.0f MB/s, SSD to %.0f MB/s",
            dramBytesPerSecond / MEGABYTE,
            ssdBytesPerSecond / MEGABYTE)
        : "tiers as fast as they are";
  }
}
