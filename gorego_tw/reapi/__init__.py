"""The services of the Remote Execution API's caching half, and ByteStream."""
