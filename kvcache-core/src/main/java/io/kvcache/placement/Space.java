package io.kvcache.placement;

import io.kvcache.DropMethod;
import io.kvcache.spi.SegmentView;
import java.util.EnumSet;
import java.util.Set;

/** What the segments of one namespace have in common: how they compress, how long they are, whether they are used. */
final class Space {
  /** Observations after which an average begins to forget. */
  private static final int MEMORY = 256;
  /** What is kept of the record of uses each time that it fades. */
  private static final double KEPT = 1 - 1.0 / MEMORY;

  private static final DropMethod[] METHODS = DropMethod.values();

  private final double[] lossPerChunk;
  private final int[] profiles;
  private double contextChunks = 1;
  private int contexts;
  private double created;
  private double reused;
  private final Set<DropMethod> scored = EnumSet.noneOf(DropMethod.class);
  /** Segments there are. */
  int segments;

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
    if (created >= MEMORY) {
      fade();
    }
    created++;
    if (usedAlready) {
      reused++;
    }
  }

  /** Takes note of the scores an engine gives. */
  void scored(SegmentView segment) {
    for (DropMethod method : METHODS) {
      if (segment.hasScores(method)) {
        scored.add(method);
      }
    }
  }

  /** Whether what is new can be expected to come with what a method needs. */
  boolean expectsScores(DropMethod method) {
    return !method.needsScores() || scored.contains(method);
  }

  void reused() {
    reused++;
  }

  /** Forgets a little of the record of uses, as on being turned away: so that a namespace is tried again some day. */
  void fade() {
    created *= KEPT;
    reused *= KEPT;
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
