package io.kvcache.placement;

import io.kvcache.spi.SegmentView;

/** What the segments of one namespace have in common: how they compress, how long they are, whether they are used. */
final class Space {
  /** Observations after which an average begins to forget. */
  private static final int MEMORY = 256;
  /** What a namespace that is turned away keeps of its record each time, so that it is tried again some day. */
  private static final double FORGIVENESS = 1 - 1.0 / MEMORY;

  private final double[] lossPerChunk;
  private final int[] profiles;
  private double contextChunks = 1;
  private int contexts;
  private double created;
  private double reused;
  /** Segments there are; a namespace without any is forgotten. */
  int nodes;

  Space(int candidates) {
    this.lossPerChunk = new double[candidates];
    this.profiles = new int[candidates];
  }

  /** Takes note of what was measured of a segment. */
  void profiled(SegmentView segment) {
    for (int candidate = 0; candidate < lossPerChunk.length; candidate++) {
      double quality = segment.quality(candidate);
      if (known(quality)) {
        profiles[candidate] = Math.min(profiles[candidate] + 1, MEMORY);
        double perChunk = (1 - quality) / segment.chunks();
        lossPerChunk[candidate] += (perChunk - lossPerChunk[candidate]) / profiles[candidate];
      }
    }
  }

  /** Whether a quality is one: neither missing nor out of range. */
  static boolean known(double quality) {
    return quality >= 0 && quality <= 1;
  }

  /** Takes note of a context's length. */
  void context(int chunks) {
    contexts = Math.min(contexts + 1, MEMORY);
    contextChunks += (chunks - contextChunks) / contexts;
  }

  void created(boolean usedAlready) {
    created++;
    if (usedAlready) {
      reused++;
    }
  }

  void reused() {
    reused++;
  }

  void declined() {
    created *= FORGIVENESS;
    reused *= FORGIVENESS;
  }

  /** Share of the segments stored that were ever hit, by Laplace's rule. */
  double reuse() {
    return Math.min(1, (reused + 1) / (created + 2));
  }

  /**
   * What chunks that nobody measured are expected to lose by a candidate, linear in the chunks: the namespace's mean;
   * where that is not known either, what the encoding loses nominally of a context of mean length.
   */
  double expectedLoss(int candidate, double nominalLoss, int chunks) {
    return candidate >= 0 && profiles[candidate] > 0
        ? lossPerChunk[candidate] * chunks
        : nominalLoss * chunks / contextChunks;
  }
}
