"""Policy + results → verdict, exit code and junit.xml."""
