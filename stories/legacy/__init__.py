"""The import of the old system's data: reads its snapshot row by row and adds the rows to sessions."""
