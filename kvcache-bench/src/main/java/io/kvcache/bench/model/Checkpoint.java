package io.kvcache.bench.model;

import java.io.IOException;
import java.io.InputStream;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.channels.FileChannel.MapMode;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.List;

/**
 * Reader of the llama2.c checkpoint format, all little-endian: seven int32 (width, hidden, layers, heads,
 * kvHeads, vocabulary, context; a negative vocabulary says that a separate output matrix follows at the end),
 * then float32 arrays without padding in the order of {@link #read()}, matrices as [out][in], one array for
 * all layers.
 */
final class Checkpoint {
  private static final int HEADER_BYTES = 7 * Integer.BYTES;
  private static final ValueLayout.OfInt INT =
      ValueLayout.JAVA_INT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
  private static final ValueLayout.OfFloat FLOAT =
      ValueLayout.JAVA_FLOAT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

  private final MemorySegment bytes;
  private final String name;
  private final ModelConfig config;
  private long position = HEADER_BYTES;

  private Checkpoint(MemorySegment bytes, String name) throws IOException {
    this.bytes = bytes;
    this.name = name;
    config = readHeader();
    long expected = expectedBytes(config);
    if (bytes.byteSize() != expected) {
      throw new IOException(
          name + " is no model: it has " + bytes.byteSize() + " bytes, its header calls for " + expected);
    }
  }

  static ModelWeights read(Path file) throws IOException {
    try (FileChannel channel = FileChannel.open(file, StandardOpenOption.READ);
        Arena arena = Arena.ofConfined()) {
      MemorySegment bytes = channel.map(MapMode.READ_ONLY, 0, channel.size(), arena);
      return new Checkpoint(bytes, file.toString()).read();
    }
  }

  static ModelWeights read(InputStream in, String name) throws IOException {
    return new Checkpoint(MemorySegment.ofArray(in.readAllBytes()), name).read();
  }

  private ModelConfig readHeader() throws IOException {
    if (bytes.byteSize() < HEADER_BYTES) {
      throw new IOException(
          name + " is no model: it has " + bytes.byteSize() + " bytes, a header has " + HEADER_BYTES);
    }
    int[] h = new int[7];
    MemorySegment.copy(bytes, INT, 0, h, 0, h.length);
    boolean tied = h[5] > 0;
    try {
      // Math.abs leaves MIN_VALUE negative, which the range check then refuses.
      return new ModelConfig(h[0], h[1], h[2], h[3], h[4], Math.abs(h[5]), h[6], tied);
    } catch (IllegalArgumentException e) {
      throw new IOException(name + " is no model: " + e.getMessage(), e);
    }
  }

  private static long expectedBytes(ModelConfig c) {
    long embeddings = (c.tied() ? 1L : 2L) * c.vocabulary() * c.width();
    long gains = (2L * c.layers() + 1) * c.width();
    long rotaryTables = (long) c.context() * c.headDim();
    return HEADER_BYTES + Float.BYTES * (embeddings + gains + c.layerMultiplyAdds() + rotaryTables);
  }

  private ModelWeights read() throws IOException {
    int width = config.width();
    Matrix embedding = new Matrix(rows(config.vocabulary(), width));
    float[][] attentionGains = rows(config.layers(), width);
    List<Matrix> query = matrices(width, width);
    List<Matrix> key = matrices(config.kvWidth(), width);
    List<Matrix> value = matrices(config.kvWidth(), width);
    List<Matrix> output = matrices(width, width);
    float[][] mlpGains = rows(config.layers(), width);
    List<Matrix> gate = matrices(config.hidden(), width);
    List<Matrix> down = matrices(width, config.hidden());
    List<Matrix> up = matrices(config.hidden(), width);
    float[] finalGains = rows(1, width)[0];
    position += Float.BYTES * (long) config.context() * config.headDim(); // rotary tables, computed anew
    Matrix logits = config.tied() ? embedding : new Matrix(rows(config.vocabulary(), width));

    List<ModelWeights.Layer> layers = new ArrayList<>();
    for (int i = 0; i < config.layers(); i++) {
      layers.add(new ModelWeights.Layer(
          attentionGains[i], query.get(i), key.get(i), value.get(i), output.get(i),
          mlpGains[i], gate.get(i), down.get(i), up.get(i)));
    }
    return new ModelWeights(config, embedding, layers, finalGains, logits);
  }

  private List<Matrix> matrices(int outputs, int inputs) throws IOException {
    List<Matrix> perLayer = new ArrayList<>();
    for (int i = 0; i < config.layers(); i++) {
      perLayer.add(new Matrix(rows(outputs, inputs)));
    }
    return perLayer;
  }

  private float[][] rows(int count, int length) throws IOException {
    float[][] rows = new float[count][length];
    for (float[] row : rows) {
      MemorySegment.copy(bytes, FLOAT, position, row, 0, length);
      for (int i = 0; i < length; i++) {
        if (!Float.isFinite(row[i])) {
          long at = position + (long) i * Float.BYTES;
          throw new IOException(name + " is no model: the weight at byte " + at + " is " + row[i]);
        }
      }
      position += (long) length * Float.BYTES;
    }
    return rows;
  }
}
