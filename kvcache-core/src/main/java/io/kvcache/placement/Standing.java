package io.kvcache.placement;

import io.kvcache.spi.SegmentView;
import io.kvcache.spi.VariantView;
import java.util.Arrays;
import java.util.List;

/**
 * How one segment is stored and what that loses for each use, in seconds: {@code alpha · (1 − quality) + delay}. One
 * object is used for one segment after the other, so that scoring allocates next to nothing.
 *
 * <p>A chunk is read from the fastest tier it is in. The fixed part of a tier's delay comes once for a request: a
 * segment pays it unless its parent is read from the same tier. Everything else is linear in chunks, and so a split
 * changes no sum.
 */
final class Standing {
  private static final int NONE = -1;

  private final EncodingTable table;
  private final Delays delays;
  private final double alpha;

  SegmentView segment;
  private Space space;
  private int variants;
  private int[] tiers = new int[4];
  private int[] encodings = new int[4];
  private int[] chunks = new int[4];
  private double[] bytes = new double[4];
  /** What of the loss of a use is due to chunks read from this tier: how many these are, and both parts. */
  final double[] read;
  final double[] qualityPart;
  final double[] delayPart;
  /** The same without what is in some tier, which nobody asks for. */
  private final double[][] elsewhere;
  private int walkedTo;
  private double[] losses = new double[0];
  private final int[] best;
  private boolean bestKnown;
  private int bestCount;
  private final int[] attainable;
  /** Numbers of the encodings found by {@link #findOptions}. */
  int[] options;
  int optionCount;
  int optionSource;
  private int parentTier;
  private boolean reachable;
  private double present;
  private int slowest;
  private int fullTier;

  Standing(EncodingTable table, Delays delays, double alpha, int tiers) {
    this.table = table;
    this.delays = delays;
    this.alpha = alpha;
    this.best = new int[table.alike().length];
    this.attainable = new int[table.chosen()];
    this.read = new double[tiers];
    this.qualityPart = new double[tiers];
    this.delayPart = new double[tiers];
    this.elsewhere = new double[3][tiers];
  }

  /** Turns to a segment. */
  void of(SegmentView one, Space itsSpace) {
    segment = one;
    space = itsSpace;
    collect(one.variants());
    SegmentView parent = one.parent();
    parentTier = parent == null ? NONE : fastest(parent);
    reachable = parent == null ? one.firstChunk() == 0 : parentTier != NONE;
    if (losses.length < table.size()) {
      losses = new double[table.size()];
    }
    Arrays.fill(losses, Double.NaN);
    bestKnown = false;
    fullTier = findFull();
    present = walk(NONE, false, read, qualityPart, delayPart);
    slowest = walkedTo;
  }

  /**
   * What a use loses that reads each chunk from the fastest tier it is in, except from one that is {@code gone}, with
   * {@code fullOnly} just its exact bytes; what is nowhere is computed. Adds up what is due to chunks of each tier.
   */
  private double walk(int gone, boolean fullOnly, double[] readChunks, double[] quality, double[] delay) {
    Arrays.fill(readChunks, 0);
    Arrays.fill(quality, 0);
    Arrays.fill(delay, 0);
    int left = segment.chunks();
    double loss = 0;
    walkedTo = NONE;
    for (int variant = 0; variant < variants && left > 0; variant++) {
      int tier = tiers[variant];
      int encoding = encodings[variant];
      if (tier != gone || (fullOnly && !table.exact(encoding))) {
        int taken = Math.min(left, chunks[variant]);
        double lost = loss(encoding) * taken / segment.chunks();
        double waited = delays.slope(tier, encoding) * bytes[variant] * taken / chunks[variant]
            + (tier == walkedTo ? 0 : fixed(tier, encoding));
        readChunks[tier] += taken;
        quality[tier] += lost;
        delay[tier] += waited;
        loss += lost + waited;
        left -= taken;
        walkedTo = tier;
      }
    }
    return loss + left * delays.recomputePerChunk();
  }

  private void collect(List<? extends VariantView> views) {
    variants = 0;
    for (int index = 0; index < views.size(); index++) {
      VariantView view = views.get(index);
      if (variants == tiers.length) {
        tiers = Arrays.copyOf(tiers, variants * 2);
        encodings = Arrays.copyOf(encodings, variants * 2);
        chunks = Arrays.copyOf(chunks, variants * 2);
        bytes = Arrays.copyOf(bytes, variants * 2);
      }
      int at = variants++;
      while (at > 0 && tiers[at - 1] > view.tier()) {
        tiers[at] = tiers[at - 1];
        encodings[at] = encodings[at - 1];
        chunks[at] = chunks[at - 1];
        bytes[at] = bytes[at - 1];
        at--;
      }
      tiers[at] = view.tier();
      encodings[at] = table.number(view.encoding());
      chunks[at] = view.chunks();
      bytes[at] = view.bytes();
    }
  }

  /** The fastest tier a segment has anything in; negative for none. */
  static int fastest(SegmentView segment) {
    List<? extends VariantView> views = segment.variants();
    int tier = NONE;
    for (int index = 0; index < views.size(); index++) {
      int other = views.get(index).tier();
      tier = tier == NONE ? other : Math.min(tier, other);
    }
    return tier;
  }

  /** What an encoding loses in quality, as a share. */
  double lossShare(int number) {
    if (table.exact(number)) {
      return 0;
    }
    int candidate = table.candidate(number);
    double quality = candidate < 0 ? Double.NaN : segment.quality(candidate);
    return Space.known(quality)
        ? 1 - quality
        : space.expectedLoss(candidate, table.nominalLoss(number), segment.chunks());
  }

  private double fixed(int tier, int encoding) {
    return tier == parentTier ? 0 : delays.fixed(tier, encoding);
  }

  private int findFull() {
    int exact = 0;
    for (int variant = 0; variant < variants; variant++) {
      exact = variant > 0 && tiers[variant] == tiers[variant - 1] ? exact : 0;
      exact += table.exact(encodings[variant]) ? chunks[variant] : 0;
      if (exact >= segment.chunks()) {
        return tiers[variant];
      }
    }
    return NONE;
  }

  /** Whether a look-up can come to it: nothing before it is lost. */
  boolean reachable() {
    return reachable;
  }

  /** Loss of a use as it is now. */
  double present() {
    return present;
  }

  /** The slowest tier it is read from; negative when it is stored nowhere. */
  int slowest() {
    return slowest;
  }

  /** The fastest tier that has all of it in exact bytes; negative for none. */
  int fullTier() {
    return fullTier;
  }

  /** Whether exact bytes of all of it are in a tier other than this. */
  boolean fullOutside(int tier) {
    int exact = 0;
    for (int variant = 0; variant < variants; variant++) {
      exact = variant > 0 && tiers[variant] == tiers[variant - 1] ? exact : 0;
      exact += table.exact(encodings[variant]) ? chunks[variant] : 0;
      if (tiers[variant] != tier && exact >= segment.chunks()) {
        return true;
      }
    }
    return false;
  }

  /** What an encoding loses in quality, in seconds of a use. */
  double loss(int encoding) {
    double loss = losses[encoding];
    if (Double.isNaN(loss)) {
      loss = alpha * lossShare(encoding);
      losses[encoding] = loss;
    }
    return loss;
  }

  /** Loss of a use when so many of its chunks are read from {@code tier} in {@code encoding}. */
  double lossAt(int tier, int encoding, double readChunks) {
    return readChunks == 0
        ? 0
        : loss(encoding) * readChunks / segment.chunks() + fixed(tier, encoding)
            + delays.slope(tier, encoding) * chunkBytes(encoding) * readChunks;
  }

  /** Bytes a chunk takes in an encoding: what it does where it is stored so, else what is expected. */
  double chunkBytes(int encoding) {
    for (int variant = 0; variant < variants; variant++) {
      if (encodings[variant] == encoding && chunks[variant] > 0) {
        return bytes[variant] / chunks[variant];
      }
    }
    return table.chunkBytes(encoding);
  }

  /** Loss of a use when what is in a tier was gone; with {@code fullOnly} just its exact bytes. */
  double lossWithout(int gone, boolean fullOnly) {
    return walk(gone, fullOnly, elsewhere[0], elsewhere[1], elsewhere[2]);
  }

  /** The encoding most of its bytes in a tier have; negative where it has none. */
  int encodingIn(int tier) {
    int most = NONE;
    for (int variant = 0; variant < variants; variant++) {
      if (tiers[variant] == tier && (most == NONE || bytes[variant] > bytes[most])) {
        most = variant;
      }
    }
    return most == NONE ? NONE : encodings[most];
  }

  /** Whether all its chunks are stored in this tier in this encoding. */
  boolean isAt(int tier, int encoding) {
    for (int variant = 0; variant < variants; variant++) {
      if (tiers[variant] == tier && encodings[variant] == encoding && chunks[variant] >= segment.chunks()) {
        return true;
      }
    }
    return false;
  }

  /** Whether all that is in a tier has this encoding. */
  boolean allIn(int tier, int encoding) {
    for (int variant = 0; variant < variants; variant++) {
      if (tiers[variant] == tier && encodings[variant] != encoding) {
        return false;
      }
    }
    return true;
  }

  /** Bytes of one class in a tier. */
  double bytesIn(int tier, boolean exact) {
    double sum = 0;
    for (int variant = 0; variant < variants; variant++) {
      sum += tiers[variant] == tier && table.exact(encodings[variant]) == exact ? bytes[variant] : 0;
    }
    return sum;
  }

  /** Chunks with inexact bytes in a tier. */
  int servingIn(int tier) {
    int sum = 0;
    for (int variant = 0; variant < variants; variant++) {
      sum += tiers[variant] == tier && !table.exact(encodings[variant]) ? chunks[variant] : 0;
    }
    return sum;
  }

  /**
   * The tier to read from in order to have it as {@code encoding}: this one where its bytes are exact, else one that
   * has exact bytes, so that no error is added to another, else this one where it may; negative where none will do.
   */
  int source(int tier, int encoding) {
    boolean exact = false;
    boolean possible = true;
    boolean lossy = false;
    for (int variant = 0; variant < variants; variant++) {
      if (tiers[variant] == tier) {
        exact |= table.exact(encodings[variant]);
        lossy |= !table.exact(encodings[variant]);
        possible &= table.reencodable(encodings[variant], encoding);
      }
    }
    if ((exact && !lossy) || fullTier != NONE) {
      int from = exact && !lossy ? tier : fullTier;
      return segment.hasScores(table.encoding(encoding).dropping()) ? from : NONE;
    }
    return possible && (exact || lossy) ? tier : NONE;
  }

  /** Finds what the chunks in a tier can be encoded as: {@link #options}, all of them from {@link #optionSource}. */
  void findOptions(int tier) {
    optionCount = 0;
    int exact = 0;
    int lossy = 0;
    int only = NONE;
    for (int variant = 0; variant < variants; variant++) {
      if (tiers[variant] == tier) {
        exact += table.exact(encodings[variant]) ? 1 : 0;
        lossy += table.exact(encodings[variant]) ? 0 : 1;
        only = encodings[variant];
      }
    }
    optionSource = lossy > 0 && fullTier != NONE ? fullTier : tier;
    if (lossy == 0 || fullTier != NONE) {
      findBest();
      options = best;
      optionCount = bestCount;
    } else {
      options = attainable;
      for (int to : table.targets(only)) {
        if (exact + lossy == 1 || source(tier, to) == tier) {
          options[optionCount++] = to;
        }
      }
    }
  }

  /** Of encodings that are alike the one that loses least, of those that can be applied to exact bytes. */
  private void findBest() {
    if (bestKnown) {
      return;
    }
    bestCount = 0;
    for (int[] alike : table.alike()) {
      int least = NONE;
      for (int member : alike) {
        if (segment.hasScores(table.encoding(member).dropping())
            && (least == NONE || loss(member) < loss(least))) {
          least = member;
        }
      }
      if (least != NONE) {
        best[bestCount++] = least;
      }
    }
    bestKnown = true;
  }
}
