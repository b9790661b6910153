package io.kvcache.bench.quality;

import io.kvcache.DropMethod;
import io.kvcache.Encoding;
import io.kvcache.KvHalf;
import io.kvcache.KvLayout;
import io.kvcache.KvShape;
import io.kvcache.LayerSpec;
import io.kvcache.TokenScores;
import io.kvcache.bench.model.KvState;
import io.kvcache.bench.model.PrunedLayer;
import io.kvcache.compress.Compressors;
import io.kvcache.internal.prune.Gather;
import io.kvcache.internal.prune.Kept;
import io.kvcache.internal.prune.Scorer;
import io.kvcache.internal.prune.Selection;
import io.kvcache.spi.Compressor;
import io.kvcache.spi.MalformedDataException;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;

/**
 * The full chunks of a document as a cache would give them back, by any encoding. All of them are one run: what token
 * dropping keeps is decided over the whole document.
 */
final class LossyKv {
  private static final List<Compressor> CODECS = Compressors.standard();

  private final KvLayout layout;
  private final KvState exact;
  private final TokenScores engineScores;
  private final int chunks;
  private final Map<DropMethod, float[][][]> scores = new EnumMap<>(DropMethod.class);

  /** Of the document that {@code exact} holds; it must stay open and as it is. */
  LossyKv(KvLayout layout, KvState exact, TokenScores engineScores) {
    this.layout = layout;
    this.exact = exact;
    this.engineScores = engineScores;
    chunks = exact.length() / layout.chunkTokens();
  }

  /** Tokens of all full chunks. */
  int tokens() {
    return chunks * layout.chunkTokens();
  }

  /** The exact keys or values of each chunk. */
  List<MemorySegment> chunks(int layer, KvHalf half) {
    MemorySegment rows = half == KvHalf.KEYS ? exact.keys(layer) : exact.values(layer);
    long chunkBytes = (long) layout.chunkTokens() * exact.rowBytes();
    return IntStream.range(0, chunks).mapToObj(chunk -> rows.asSlice(chunk * chunkBytes, chunkBytes))
        .toList();
  }

  /** What comes back of each layer. */
  List<PrunedLayer> decoded(Encoding encoding) {
    Kept[] kept = kept(encoding);
    List<PrunedLayer> layers = new ArrayList<>();
    for (int layer = 0; layer < layout.layers().size(); layer++) {
      layers.add(new PrunedLayer(positions(kept, layer), decoded(encoding, kept, layer, KvHalf.KEYS),
          decoded(encoding, kept, layer, KvHalf.VALUES)));
    }
    return layers;
  }

  private Kept[] kept(Encoding encoding) {
    long[][][][] selected = new long[layout.layers().size()][][][];
    float[][][] ranking = scores.computeIfAbsent(encoding.dropping(), this::rank);
    Arrays.setAll(selected,
        layer -> Selection.select(ranking[layer], layout.chunkTokens(), encoding.retainedPercent()));
    return Kept.perChunk(layout, selected);
  }

  private float[][][] rank(DropMethod method) {
    float[][][] ranking = new float[layout.layers().size()][][];
    for (int layer = 0; layer < ranking.length; layer++) {
      LayerSpec spec = layout.layer(layer);
      if (method == DropMethod.NONE) {
        ranking[layer] = new float[spec.kvHeads()][tokens()];
      } else if (method.needsScores()) {
        int of = layer;
        ranking[layer] = new float[spec.kvHeads()][];
        Arrays.setAll(ranking[layer],
            head -> Arrays.copyOf(engineScores.of(method, of, head), tokens()));
      } else {
        ranking[layer] = Scorer.score(method, spec, layout.chunkTokens(), 0, chunks(layer, KvHalf.KEYS));
      }
    }
    return ranking;
  }

  private int[][] positions(Kept[] kept, int layer) {
    int[][] positions = new int[layout.layer(layer).kvHeads()][];
    for (int head = 0; head < positions.length; head++) {
      int of = head;
      positions[head] = IntStream.range(0, kept.length).flatMap(chunk -> Arrays
          .stream(kept[chunk].positions(layer, of)).map(offset -> chunk * layout.chunkTokens() + offset))
          .toArray();
    }
    return positions;
  }

  private MemorySegment decoded(Encoding encoding, Kept[] kept, int layer, KvHalf half) {
    LayerSpec spec = layout.layer(layer);
    int total = Arrays.stream(kept).mapToInt(chunk -> chunk.count(layer)).sum();
    MemorySegment headMajor = MemorySegment.ofArray(new byte[total * spec.rowBytes(half)]);
    List<MemorySegment> dense = chunks(layer, half);
    int row = 0;
    for (int chunk = 0; chunk < kept.length; chunk++) {
      int count = kept[chunk].count(layer);
      if (count > 0) {
        MemorySegment rows = MemorySegment.ofArray(new byte[count * spec.rowBytes(half)]);
        Gather.rows(spec, half, dense.get(chunk), kept[chunk], layer, rows);
        Gather.toHeadMajor(spec, half, count, thereAndBack(encoding.codec(), spec.shape(half, count), rows),
            headMajor, row, total);
        row += count;
      }
    }
    return headMajor;
  }

  private static MemorySegment thereAndBack(int codec, KvShape shape, MemorySegment rows) {
    if (codec == Encoding.RAW.codec()) {
      return rows;
    }
    Compressor compressor = CODECS.stream().filter(each -> each.codec() == codec).findFirst().orElseThrow();
    MemorySegment stored = MemorySegment.ofArray(new byte[(int) compressor.maxStoredBytes(shape)]);
    long bytes = compressor.compress(shape, rows, stored);
    MemorySegment decoded = MemorySegment.ofArray(new byte[(int) shape.bytes()]);
    try {
      compressor.decompress(shape, compressor.parameters(), stored.asSlice(0, bytes), decoded);
    } catch (MalformedDataException e) {
      throw new IllegalStateException(compressor.name() + " does not read what it wrote", e);
    }
    return decoded;
  }
}
