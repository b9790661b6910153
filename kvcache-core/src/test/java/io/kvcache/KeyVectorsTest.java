package io.kvcache;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;

/** Keys as another implementation computes them: the vectors were printed by {@code src/test/python/format_v1.py}. */
class KeyVectorsTest {
  private static final List<String> VECTORS =
      """
          25c82ed410920abfcbe392dd7e79b4c69f33a02b539eee7105d399f7c9d4f8a1 root
          1f01a155dbbf47aaafd527336f28a8e713333e5abc861a2f3719ad48dd7a33f4 root, model modèle-模型-🦙
          2d0723bf91bf451e25d656b2f5b58cf27bb0195017af3af615193afeb0c3c6c9 root, adapter lora-7
          1768e6c1c62bd54224c3107e1d75c8f73ad8cd713672da37235ec0095589e86e root, RoPE scaling yarn
          f7faf76014f3d7c0b8634c943c9c2ad76df2bce2ba4e172b045da3038f121198 root, engine engine-1.2
          57cd94cccbbe73a79ddc68e200b960a0a661e20af401c7a9351a5a3a85b0524c root, rank 0 of 2
          c60f2a767a10963616834f5695621cfc8e1f3d24df7784ca77732fb16dc4ff80 root, rank 1 of 2
          b599e573640050e33e8b73af8741d4dc9cf2e8ffa919e648d6eee59bcb720875 root, first layer 2
          9cecea064c4495e15a8fbbe583b4cf8ff0962afa786d6c739ec529653bb3cc89 root, tenant salt 00 ff 10
          90b188b38d1e7294973a4fe6a133d6c24a266cdc36765c25e3a128da05608003 root, chunks of 32
          c4501f8cb6e8071836560804558888e56452e69a02eff6a5386a654257cc78d8 root, window 8 in layer 0
          f9abd25d4e45218363b0e076bf8e66745f67ceb91c21eda91999c5a4bb71c053 root, bf16 in layer 0
          5ef069171fc766e7be86d546ee3ba2ccca0b129676a39ae621faf86fe981565e chunk 0 of tokens 1 to 32
          2ce9ab32385177a4a27c9f2a5da75a13ad84339304834b74b281703225c919e9 chunk 1 of tokens 1 to 32
          9e99c84f670ac208eb62fc03b1baaad049630cc84c5e2b5468241247b0307c40 chunk 0 of 16 times 2147483647
          35af2c1e8bc93b6b7145502ca1af8c38376a96fe56cf37d49408fa3687b887ec chunk 0, extra at 3: 32 times aa
          b5c5fb7b382e7b99a3fbdda20baf6920e19c0fd75a8ef81857c41e980949cddb chunk 1, extra at 3: 32 times aa
          a6a1c9a15de4e37ec6a6cb3659eb17a377afbf95ff1627a82739ddd358334624 chunk 1, extras 20: 02, 20: 01 ff, 18: ff
          """
          .lines().toList();

  static final KvLayout LAYOUT =
      new KvLayout(List.of(new LayerSpec(1, 2, 1, DType.F16, 0), LayerSpec.opaque(3)), 16);
  static final Namespace BASE = Namespace.of("example/model@1", LAYOUT);

  private static KvLayout firstLayer(DType dtype, int window) {
    return new KvLayout(List.of(new LayerSpec(1, 2, 1, dtype, window), LayerSpec.opaque(3)), 16);
  }

  private static Map<String, ChunkKey> roots() {
    Map<String, Namespace> namespaces = new LinkedHashMap<>();
    namespaces.put("root", BASE);
    namespaces.put("root, model modèle-模型-🦙", Namespace.of("modèle-模型-🦙", LAYOUT));
    namespaces.put("root, adapter lora-7", BASE.withAdapter("lora-7"));
    namespaces.put("root, RoPE scaling yarn", BASE.withRopeScaling("yarn"));
    namespaces.put("root, engine engine-1.2", BASE.withEngine("engine-1.2"));
    namespaces.put("root, rank 0 of 2", BASE.withRank(0, 2));
    namespaces.put("root, rank 1 of 2", BASE.withRank(1, 2));
    namespaces.put("root, first layer 2", BASE.withFirstLayer(2));
    namespaces.put("root, tenant salt 00 ff 10", BASE.withTenant(new byte[] {0, (byte) 0xff, 16}));
    namespaces.put("root, chunks of 32", Namespace.of(BASE.model(), LAYOUT.withChunkTokens(32)));
    namespaces.put("root, window 8 in layer 0", Namespace.of(BASE.model(), firstLayer(DType.F16, 8)));
    namespaces.put("root, bf16 in layer 0", Namespace.of(BASE.model(), firstLayer(DType.BF16, 0)));
    Map<String, ChunkKey> roots = new LinkedHashMap<>();
    namespaces.forEach((name, namespace) -> roots.put(name, KeyChain.root(namespace)));
    return roots;
  }

  private static Map<String, ChunkKey> computed() {
    Map<String, ChunkKey> keys = roots();
    Tokens tokens = Tokens.of(IntStream.rangeClosed(1, 32).toArray());
    int[] largest = new int[16];
    Arrays.fill(largest, Integer.MAX_VALUE);
    byte[] image = new byte[32];
    Arrays.fill(image, (byte) 0xaa);
    Tokens one = tokens.withExtra(3, image);
    Tokens several = tokens.withExtra(20, new byte[] {2}).withExtra(20, new byte[] {1, (byte) 0xff})
        .withExtra(18, new byte[] {(byte) 0xff});
    keys.put("chunk 0 of tokens 1 to 32", KeyChain.of(BASE, tokens).key(0));
    keys.put("chunk 1 of tokens 1 to 32", KeyChain.of(BASE, tokens).key(1));
    keys.put("chunk 0 of 16 times 2147483647", KeyChain.of(BASE, Tokens.of(largest)).key(0));
    keys.put("chunk 0, extra at 3: 32 times aa", KeyChain.of(BASE, one).key(0));
    keys.put("chunk 1, extra at 3: 32 times aa", KeyChain.of(BASE, one).key(1));
    keys.put("chunk 1, extras 20: 02, 20: 01 ff, 18: ff", KeyChain.of(BASE, several).key(1));
    return keys;
  }

  private static List<String> print() {
    return computed().entrySet().stream().map(entry -> entry.getValue() + " " + entry.getKey()).toList();
  }

  /** Prints the vectors, for a JVM with other defaults. */
  public static void main(String[] args) {
    print().forEach(line -> System.out.println(line.substring(0, 64)));
  }

  @Test
  void agreeWithTheReferenceImplementation() {
    assertEquals(VECTORS, print());
  }

  @Test
  void allDiffer() {
    assertEquals(VECTORS.size(), computed().values().stream().distinct().count());
  }

  @Test
  void standInTheDocument() throws Exception {
    String document = String.join("\n", FormatDocument.lines());
    for (String vector : VECTORS) {
      assertTrue(document.contains(vector), vector);
    }
  }

  @Test
  void doNotDependOnTheLocale() {
    Locale before = Locale.getDefault();
    try {
      for (String tag : List.of("tr-TR", "ar-EG-u-nu-arab", "th-TH-u-ca-buddhist")) {
        Locale.setDefault(Locale.forLanguageTag(tag));
        assertEquals(VECTORS, print(), tag);
      }
    } finally {
      Locale.setDefault(before);
    }
  }

  /** Goal: no default of the JVM matters. Method: print the vectors in one with other character sets and locale. */
  @Test
  void doNotDependOnTheDefaultsOfTheJvm() throws Exception {
    Process other = new ProcessBuilder(
        Path.of(System.getProperty("java.home"), "bin", "java").toString(), "-Dfile.encoding=COMPAT",
        "-Dsun.jnu.encoding=ISO-8859-1", "-Duser.language=tr", "-Duser.timezone=Asia/Kathmandu", "-Xint",
        "-cp", System.getProperty("java.class.path"), KeyVectorsTest.class.getName())
        .redirectErrorStream(true).start();
    String output = new String(other.getInputStream().readAllBytes(), StandardCharsets.US_ASCII);
    assertEquals(0, other.waitFor(), output);
    assertEquals(VECTORS.stream().map(line -> line.substring(0, 64)).toList(), output.lines().toList());
  }
}
