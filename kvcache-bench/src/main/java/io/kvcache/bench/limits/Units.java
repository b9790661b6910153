package io.kvcache.bench.limits;

import java.util.Locale;

/** Sizes as people write them. */
final class Units {
  private static final String[] NAMES = {"B", "KiB", "MiB", "GiB", "TiB"};

  private Units() {}

  /** In the largest unit that is not above it, with a decimal only where there is something behind the point. */
  static String bytes(long bytes) {
    int unit = 0;
    double value = bytes;
    while (value >= 1024 && unit < NAMES.length - 1) {
      value /= 1024;
      unit++;
    }
    String format = value == Math.rint(value) ? "%.0f %s" : "%.1f %s";
    return String.format(Locale.ROOT, format, value, NAMES[unit]);
  }
}
