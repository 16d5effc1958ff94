"""Guard what OpenAI's HTTP API says, as JSON values: for every adapter whose framework speaks that format."""
