import java.io.FileInputStream;
import java.io.FilterInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.util.zip.ZipEntry;
import java.util.zip.ZipFile;
import java.util.zip.ZipInputStream;

/** Lists a zip as Java's stream reader sees it: "SIZE NAME"; then opens it by its directory. */
public class ZipNames {
    public static void main(String[] args) throws IOException {
        // A stream that never tells how much is there, as from a network.
        InputStream file = new FilterInputStream(new FileInputStream(args[0])) {
            @Override
            public int available() {
                return 0;
            }
        };
        int count = 0;
        try (ZipInputStream in = new ZipInputStream(file)) {
            byte[] block = new byte[65536];
            for (ZipEntry e = in.getNextEntry(); e != null; e = in.getNextEntry()) {
                long size = 0;
                for (int n = in.read(block); n > 0; n = in.read(block)) {
                    size += n;
                }
                System.out.println(size + " " + e.getName());
                count++;
            }
        }
        try (ZipFile zip = new ZipFile(args[0])) {
            if (zip.size() != count) {
                throw new IOException(zip.size() + " entries, not " + count);
            }
        }
    }
}
