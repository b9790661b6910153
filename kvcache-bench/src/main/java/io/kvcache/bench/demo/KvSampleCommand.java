package io.kvcache.bench.demo;

import io.kvcache.bench.Console;
import io.kvcache.bench.model.KvState;
import io.kvcache.bench.model.ModelConfig;
import io.kvcache.bench.model.Transformer;
import io.kvcache.bench.serving.Weights;
import io.kvcache.bench.task.DocumentGenerator;
import io.kvcache.bench.task.DocumentKind;
import io.kvcache.bench.task.DocumentSize;
import java.io.IOException;
import java.io.OutputStream;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/**
 * Writes real KV, for tests of codecs: little-endian, five int32 (documents, layers, tokens, kvHeads, headDim), then
 * bf16 elements as {@code [document][layer][keys|values][token][kvHead × headDim]}.
 */
@Command(
    name = "kv-sample",
    description = "Writes the KV the shipped model computes for the first tokens of a document of each kind.",
    mixinStandardHelpOptions = true)
public final class KvSampleCommand implements Callable<Integer> {
  @Spec
  private CommandSpec spec;

  @Option(names = "--out", paramLabel = "FILE", required = true, description = "The file to write.")
  private Path out;

  @Option(names = "--tokens", paramLabel = "N", defaultValue = "128",
      description = "Tokens of each document. Default: ${DEFAULT-VALUE}.")
  private int tokens;

  /** Creates it, as picocli does. */
  public KvSampleCommand() {}

  @Override
  public Integer call() throws IOException {
    new Console(spec).requireBetween("--tokens", tokens, 1, DocumentSize.STANDARD.minTokens());
    DocumentGenerator generator = new DocumentGenerator(DocumentSize.STANDARD);
    try (Transformer transformer = new Transformer(Weights.shipped());
        OutputStream file = Files.newOutputStream(out)) {
      file.write(header(transformer.config()));
      for (DocumentKind kind : DocumentKind.values()) {
        int[] document = generator.generate(kind, DocumentGenerator.FIRST_HELD_OUT_SEED).tokens();
        try (KvState state = transformer.newState(tokens)) {
          transformer.prefill(state, Arrays.copyOf(document, tokens));
          write(file, state);
        }
      }
    }
    return 0;
  }

  private byte[] header(ModelConfig config) {
    return ByteBuffer.allocate(5 * Integer.BYTES).order(ByteOrder.LITTLE_ENDIAN)
        .putInt(DocumentKind.values().length)
        .putInt(config.layers())
        .putInt(tokens)
        .putInt(config.kvHeads())
        .putInt(config.headDim())
        .array();
  }

  private static void write(OutputStream file, KvState state) throws IOException {
    for (int layer = 0; layer < state.config().layers(); layer++) {
      for (MemorySegment half : new MemorySegment[] {state.keys(layer), state.values(layer)}) {
        file.write(half.toArray(ValueLayout.JAVA_BYTE));
      }
    }
  }
}
